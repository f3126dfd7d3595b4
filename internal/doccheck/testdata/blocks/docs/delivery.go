package blocks

type Order struct{ Tea int }

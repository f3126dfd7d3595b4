package blocks

import "github.com/gofiber/fiber/v2/utils"

func check(name, password string) (struct{ ID string }, error) { panic(0) }
func friendsOf(user string) []string                           { panic(0) }
func storeRole(user, role string) error                        { panic(0) }

package reliability_test

func hostileProgram() commands { return commands{} }

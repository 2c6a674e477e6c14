package mutants

// displayed are the guards of what a command that takes long shows.
var displayed = []row{
	{
		"a line does not reach the last column", "internal/progress/line.go",
		"if utf8.RuneCountInString(text) < width {", "if utf8.RuneCountInString(text) <= width {",
		"a narrow terminal wraps the line, and is filled with what is left of it", "internal/progress", "TestLineHasRoom",
	}, {
		"no total is believed that has been passed", "internal/progress/line.go",
		"s.total > 0 && s.done <= s.total", "s.total > 0",
		"more is done than there is, and the time that is left is less than none", "internal/progress", "TestLine",
	}, {
		"a name moves no cursor", "internal/progress/display.go",
		"state{what: plain(what)}", "state{what: what}",
		"what a target or a file is called writes over a terminal", "internal/progress", "TestLines",
	}, {
		"the rate is that of the last while", "internal/progress/rate.go",
		"now.Sub(r[1].at) >= while", "false && now.Sub(r[1].at) >= while",
		"a copy that became slow is said to end soon", "internal/progress", "TestRate",
	}, {
		"an error has its line to itself", "cmd/ktadmin/root.go",
		"	a.close()\n", "",
		"an error is written into the line that says how far it was", "cmd/ktadmin", "TestProgress",
	}, {
		"nothing is rewritten beside JSON", "cmd/ktadmin/progress.go",
		`progress.New(a.cmd.ErrOrStderr(), a.format == "json")`, "progress.New(a.cmd.ErrOrStderr(), false)",
		"a script that reads both outputs gets lines that are written over", "cmd/ktadmin", "TestProgress",
	}, {
		"what is there already is done", "backup/ship.go",
		"s.Progress.Moved(2*b.backup.Size - b.counted)", "s.Progress.Moved(0)",
		"a target that has much is never done", "backup", "TestProgressOfShipping",
	},
}

package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
)

// row is a line of a result.
type row struct{ name, value string }

// result writes v as JSON, or rows as a table.
func (a *app) result(v any, rows []row) error {
	a.arrived()
	if a.format == "json" {
		e := json.NewEncoder(a.cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	t := tabwriter.NewWriter(a.cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\n", r.name, r.value)
	}
	return t.Flush()
}

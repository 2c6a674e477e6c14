package config

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"keytrustee/internal/durable"
)

// SetShared gives a key of keytrustee.yaml a value, durably. It changes one line, and nothing where that would change more.
func (c *Config) SetShared(key, value string) error {
	path := c.SharedFile()
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	changed, err := withKey(text, key, value)
	if err != nil {
		return &InvalidError{[]Fault{{path, fmt.Sprintf("%s can not be changed in it: %v", key, err), fmt.Sprintf("write it by hand: %s: %q", key, value)}}}
	}
	return durable.WriteFile(path, changed, info.Mode().Perm())
}

// withKey is a text of keys and values in which the key has another value.
func withKey(text []byte, key, value string) ([]byte, error) {
	var file yaml.Node
	before, after := map[string]any{}, map[string]any{}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(text, &before); err != nil {
		return nil, err
	}
	written := fmt.Sprintf("%s: %q", key, value)
	lines, at := strings.SplitAfter(strings.TrimRight(string(text), "\n")+"\n", "\n"), -1
	for i := 0; len(file.Content) == 1 && i+1 < len(file.Content[0].Content); i += 2 {
		if k, v := file.Content[0].Content[i], file.Content[0].Content[i+1]; strings.EqualFold(k.Value, key) {
			delete(before, k.Value)
			if at = k.Line - 1; v.LineComment != "" {
				written += " " + v.LineComment
			}
		}
	}
	if at >= 0 {
		lines[at] = written + "\n"
	} else {
		lines = append(lines, written+"\n")
	}
	changed := []byte(strings.Join(lines, ""))
	if err := yaml.Unmarshal(changed, &after); err != nil {
		return nil, err
	}
	want := maps.Clone(before)
	if want[key] = value; !reflect.DeepEqual(after, want) {
		return nil, fmt.Errorf("it has not a line of its own")
	}
	return changed, nil
}

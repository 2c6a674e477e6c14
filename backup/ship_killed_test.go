package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
)

// shipKilledEnv makes the test binary a process that sends backups and is killed at a point of it.
const shipKilledEnv = "KEYTRUSTEE_TEST_SHIPPING"

// doomedShip describes such a process.
type doomedShip struct {
	Directory, LockFile, Target string
	SSH                         SSH
	At                          string
}

func beKilledShipping(description string) int {
	var d doomedShip
	err := json.Unmarshal([]byte(description), &d)
	var targets []Target
	if err == nil {
		targets, err = ParseTargets([]string{d.Target})
	}
	if err == nil {
		_, err = Ship(context.Background(), ShipOptions{Directory: d.Directory, LockFile: d.LockFile, Targets: targets, SSH: d.SSH, point: func(_, point string) error {
			if point == d.At {
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			return nil
		}})
	}
	fmt.Fprintln(os.Stderr, "it was not killed:", err)
	return 1
}

// TestShipKilled: kill -9 at any point of sending leaves a target that lists whole backups alone, and the next run goes on.
func TestShipKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		at    string
		named bool
		most  int64 // bytes that are sent afterwards
	}{
		{"begun", false, 2 * block}, {"sent", false, 0}, {"checked", false, 0}, {"told", false, 0}, {"named", true, 0},
	} {
		t.Run(row.at, func(t *testing.T) {
			eachKind(t, func(t *testing.T, y *yard, dir string) {
				a := y.add(1, 3*block)
				text, err := json.Marshal(doomedShip{y.Directory, y.LockFile, y.Targets[0].String(), y.SSH, row.at})
				if err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(self)
				cmd.Env = append(os.Environ(), shipKilledEnv+"="+string(text))
				out, err := cmd.CombinedOutput()
				if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
					t.Fatalf("%v: %s", err, out)
				}
				if row.named {
					holds(t, dir, a)
				} else {
					holds(t, dir)
				}
				d, err := Ship(t.Context(), y.ShipOptions)
				if err != nil || d[0].Bytes > row.most || len(d[0].Missing) > 0 || slices.Contains(d[0].Sent, a.Name) == row.named {
					t.Errorf("%+v, %v", d, err)
				}
				holds(t, dir, a)
				tidy(t, dir)
			})
		})
	}
}

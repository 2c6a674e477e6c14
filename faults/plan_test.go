package faults

import (
	"reflect"
	"testing"
	"time"
)

// TestPlan: a seed says everything, and what comes first in a plan has some of each.
func TestPlan(t *testing.T) {
	plan := Plan(7, 5*time.Minute)
	if !reflect.DeepEqual(plan, Plan(7, 5*time.Minute)) {
		t.Error("the same seed gives another plan")
	}
	if reflect.DeepEqual(plan, Plan(8, 5*time.Minute)) {
		t.Error("another seed gives the same plan")
	}
	seen := map[string]int{}
	for _, s := range plan[:wantedFaults] {
		seen[s.Name]++
		if k := byName(s.Name); s.For < k.least || s.For > k.most || k.alone && s.With != nil || s.Calm < calmLeast || s.Calm > calmMost {
			t.Errorf("%v after %v", s, s.Calm)
		}
		if s.With != nil && s.With.Name == "destroy" {
			t.Errorf("both disks may be lost: %v", s)
		}
	}
	for _, k := range kinds {
		if seen[k.name] == 0 {
			t.Errorf("a run of 5 minutes has no %s", k.name)
		}
	}
	if seen["destroy"] < wantedDestroyed {
		t.Errorf("%d disks are destroyed", seen["destroy"])
	}
}

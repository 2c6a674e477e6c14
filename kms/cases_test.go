package kms_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"keytrustee/internal/indextest"
	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

// repeatCase is one case of docs/repeats.md. What only a connection, a database or a pair can show, a test elsewhere holds.
type repeatCase struct {
	name string
	held []string // the tests that hold it: of this package, or package.Test
	run  func(*testing.T)
}

// repeatCases are in the order of their numbers, from 1.
var repeatCases = []repeatCase{
	{"ten identical creates at once", []string{"TestIdenticalCreates", "kms/rest.TestIdenticalAtOnce"}, nil},
	{"ten identical rolls at once", []string{"TestIdenticalRolls", "kms/rest.TestIdenticalAtOnce"}, nil},
	{"the client reads its 201 and closes at once; a second caller", []string{"kms/rest.TestHandover"}, readAndClosed},
	{"the client goes away before the outcome is known; the repeat", []string{"TestReturnedIsClaimed", "kms/rest.TestClientGoneBeforeTheAnswer", "interop.TestRepeats"}, nil},
	{"the client stands still and is told; the repeat", []string{"TestIdenticalCreates", "kms/rest.TestClientGoneAfterTheAnswer"}, nil},
	{"the passive is killed before, while and after it writes the 201", []string{"replication/pairtest.TestThroughThePassive"}, handKilled},
	{"the passive's report is lost, doubled, late", []string{"TestSameDeliveryAgain", "kms/rest.TestHandover"}, nil},
	{"the connection between the hosts is cut after COMMIT, both live", []string{"TestSameDeliveryAgain", "kms/rest.TestForwardBroken"}, nil},
	{"the passive's own deadline has passed when the result comes", []string{"kms/rest.TestForwardTooLate"}, nil},
	{"the connection of the one in whose hand it is dies", []string{"TestReturnedIsClaimed"}, nil},
	{"create unknown, then deleted; the repeat", []string{"TestClaimOnlyTheLastChange"}, nil},
	{"create unknown, then purged and made again; the repeat", []string{"TestClaimOnlyTheLastChange"}, nil},
	{"delete unknown, then undeleted; the repeat", []string{"TestClaimOnlyTheLastChange"}, nil},
	{"a right is withdrawn during the wait", []string{"TestRightsWithdrawnDuringTheWait"}, nil},
	{"the same write by others, or for others", []string{"TestNobodyClaimsAnothers"}, nil},
	{"one id with another body or caller", []string{"TestRequestID", "TestRequestIDWhileUnresolved"}, nil},
	{"an id after a restart; after a deletion", []string{"TestRequestID"}, nil},
	{"a roll without an id, then with one", []string{"TestRollWithoutAnIDThenWithOne", "TestRollWithAnIDThenWithoutOne"}, nil},
	{"a roll repeated after 59 s and after 61 s", []string{"TestAgeOfAClaim"}, nil},
	{"the gate is shut", []string{"TestShutGate", "interop.TestRepeats"}, nil},
	{"crash after the local commit", []string{"TestUnknownForEver", "kms/pgstore.TestUnconfirmedChanges"}, nil},
	{"a COMMIT that still waits for the standby", []string{"TestShutGate", "kms/pgstore.TestLostAnswers", "kms/pgstore.TestFate"}, waitsForTheStandby},
	{"the duty or the epoch has changed and changed back", []string{"TestOtherWorld", "TestClaimInDoubt"}, nil},
	{"thousands that hang up or wait", []string{"TestManyThatHangUp", "TestManyThatWait"}, nil},
	{"the outcome can not be audited", []string{"TestOutcomeCanNotBeRecorded"}, nil},
	{"the table's memory", []string{"TestTableHoldsNoMaterial"}, nil},
	{"the passive can not reach the active, which reaches it", []string{"interop.TestPassiveCannotForward"}, nil},
	{"the passive stands still for 3 s and goes on", []string{"replication/pairtest.TestThroughThePassive"}, nil},
	{"both hosts are passive", []string{"kms/rest.TestBothPassive"}, nil},
	{"a hold, and the passive is off", []string{"interop.TestShellReadsTheReason", "cmd/keytrusteed.TestRefusalNamesTheHostThatCanDoBetter"}, shutAlone("operator_hold")},
	{"one host is fenced, the other is the active now", []string{"TestAnotherHostIsTheActiveNow", "replication/pairtest.TestOperator"}, nil},
	{"the old active is back, and cut off from a pair that went on", []string{"replication.TestWordings", "cmd/keytrusteed.TestRefusalNamesTheHostThatCanDoBetter"}, shutAlone("passive_unreachable")},
	{"a read, whatever the reason", []string{"cmd/keytrusteed.TestNoReasonEndsARead", "kms/rest.TestNoReadEndsTheCall"}, nil},
}

// TestCases: every case of docs/repeats.md is held by a test, and the page says by which.
func TestCases(t *testing.T) {
	page := casesOfThePage(t)
	if len(page) != len(repeatCases) {
		t.Errorf("docs/repeats.md has %d cases; want %d", len(page), len(repeatCases))
	}
	tests := map[string][]string{}
	for i, c := range repeatCases {
		t.Run(fmt.Sprintf("%02d %s", i+1, c.name), func(t *testing.T) {
			if i < len(page) && page[i].name != c.name {
				t.Errorf("docs/repeats.md calls it %q", page[i].name)
			}
			for _, held := range c.held {
				pkg, name, elsewhere := strings.Cut(held, ".")
				if !elsewhere {
					pkg, name = "kms", held
				}
				if tests[pkg] == nil {
					tests[pkg] = indextest.Tests(t, filepath.Join("..", pkg))
				}
				if !slices.Contains(tests[pkg], name) {
					t.Errorf("there is no %s in %s", name, pkg)
				}
				if i < len(page) && !strings.Contains(page[i].held, "`"+held+"`") {
					t.Errorf("docs/repeats.md does not name %s, only %s", held, page[i].held)
				}
			}
			if c.run != nil {
				c.run(t)
			}
		})
	}
}

// caseOfThePage is one line of the table in docs/repeats.md.
type caseOfThePage struct{ name, held string }

var caseLine = regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| [^|]+ \| ([^|]+) \|$`)

func casesOfThePage(t *testing.T) (page []caseOfThePage) {
	t.Helper()
	text, err := os.ReadFile("../docs/repeats.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range caseLine.FindAllStringSubmatch(string(text), -1) {
		if m[1] != fmt.Sprint(i+1) {
			t.Fatalf("docs/repeats.md: case %s is where %d should be", m[1], i+1)
		}
		page = append(page, caseOfThePage{m[2], m[3]})
	}
	return page
}

// readAndClosed: that the connection ends afterwards takes nothing back.
func readAndClosed(t *testing.T) {
	r := kmstest.NewService(t)
	first := create(t, r.Service, alice, "k").must(t)
	first.hand.Told()
	first.hand.Returned()
	create(t, r.Service, alice, "k").want(t, kms.ErrKeyExists)
}

// handKilled: the one in whose hand the success is says nothing any more, and is taken to have told; who waited is another.
func handKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		forwarded := alice
		forwarded.DeliveryID = "d1"
		killed := create(t, r.Service, forwarded, "k").must(t)
		waiter := begin(func() answer { return create(t, r.Service, alice, "k") })
		synctest.Wait()
		killed.hand.Told() // as whoever hears no report says for it
		(<-waiter).want(t, kms.ErrKeyExists)
		killed.hand.Returned() // its report, late
		create(t, r.Service, alice, "k").want(t, kms.ErrKeyExists)
	})
}

// waitsForTheStandby: until the outcome is known the write has not failed, whoever asks and however often.
func waitsForTheStandby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := kmstest.NewService(t)
		release := held(r)
		for range 3 {
			create(t, r.Service, alice, "k").want(t, kms.ErrOutcomeUnknown)
			create(t, r.Service, kmstest.Call("bob"), "k").wantReason(t, kms.ReasonBusy)
		}
		release()
		synctest.Wait()
		create(t, r.Service, alice, "k").must(t).hand.Told()
		if got := versions(t, r.Service, "k"); len(got) != 1 {
			t.Errorf("the key has versions %v; want one", got)
		}
	})
}

// shutAlone: the other host can do no better, so that the gate's own sentence ends the call, and a claim is answered all the
// same.
func shutAlone(reason kms.Reason) func(*testing.T) {
	return func(t *testing.T) {
		r := kmstest.NewService(t)
		create(t, r.Service, alice, "done").must(t).hand.Returned()
		r.Gate.Close(reason, kms.ElsewhereNone)
		refused := create(t, r.Service, alice, "k")
		if e, ok := errors.AsType[*kms.ReadOnlyError](refused.err); !ok || e.Remedy != kms.ElsewhereNone || e.Sentence == "" || e.Reason != reason {
			t.Errorf("refused with %v; want the gate's sentence, which sends the client nowhere", refused.err)
		}
		create(t, r.Service, alice, "done").must(t).hand.Told()
	}
}

package faults

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Step is one fault of a schedule, with the calm before it.
type Step struct {
	Name string        // of its kind
	On   string        // the host that it is about: "active", "passive", or "both"
	What string        // the component or the process, if it is one
	Calm time.Duration // how long nothing is done before it, once writes are open
	For  time.Duration // how long it lasts
	With *Step         // one that begins while it lasts, and ends with it
}

func (s Step) String() string {
	text := s.Name + " " + s.On
	if s.What != "" {
		text += " " + s.What
	}
	text = fmt.Sprintf("%s for %v", text, s.For.Round(time.Millisecond))
	if s.With != nil {
		text += ", meanwhile " + s.With.Name + " " + s.With.On
	}
	return text
}

// calmLeast and calmMost are how long clients work undisturbed between two faults. Of six that can come in twos, so many do.
const (
	calmLeast, calmMost = 600 * time.Millisecond, 2 * time.Second
	together            = 3
)

// Plan draws what is done in a run of that length, and more, as nobody knows how long healing takes. The same seed gives the same plan.
func Plan(seed uint64, duration time.Duration) []Step {
	random := rand.New(rand.NewPCG(seed, 1))
	var plan []Step
	var bag []kind
	for n := range int(duration/time.Second) + 10 {
		var s Step
		if must, due := dueAt(n); due {
			s = must.draw(random)
		} else {
			if len(bag) == 0 { // each kind comes in each round, as often as it weighs
				bag = shuffled(random)
			}
			k := bag[0]
			s, bag = k.draw(random), bag[1:]
			if !k.alone && random.IntN(6) < together {
				second := seconds[random.IntN(len(seconds))].draw(random)
				s.With = &second
			}
		}
		s.Calm = between(random, calmLeast, calmMost)
		plan = append(plan, s)
	}
	return plan
}

func shuffled(random *rand.Rand) []kind {
	var bag []kind
	for _, k := range kinds {
		for range k.weight {
			bag = append(bag, k)
		}
	}
	random.Shuffle(len(bag), func(i, j int) { bag[i], bag[j] = bag[j], bag[i] })
	return bag
}

// dueAt returns the kind that comes at this place of every plan.
func dueAt(place int) (kind, bool) {
	for _, k := range kinds {
		if k.every > 0 && place%k.every == k.every/3 {
			return k, true
		}
	}
	return kind{}, false
}

// draw makes a fault of the kind.
func (k kind) draw(random *rand.Rand) Step {
	s := Step{Name: k.name, For: between(random, k.least, k.most)}
	s.On = []string{"active", "passive"}[random.IntN(2)]
	switch {
	case k.on != "":
		s.On = k.on
	case k.what != nil:
		what := k.what[s.On]
		s.What = what[random.IntN(len(what))]
	}
	return s
}

// between draws a duration: from one second to two as often as from two to four.
func between(random *rand.Rand, least, most time.Duration) time.Duration {
	if least == 0 {
		return most
	}
	return time.Duration(float64(least) * math.Exp(random.Float64()*math.Log(float64(most)/float64(least))))
}

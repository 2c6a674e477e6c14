package mutants

// repeats are the guards of docs/repeats.md.
var repeats = []row{
	{
		"the sender answers", "kms/rest/errors.go",
		"\t\terr = toSender(err)\n", "",
		"a client of a passive that stood still is told that nobody can do it", "kms/rest", "TestSenderAnswers",
	},
	{
		"the gate is given a moment to hear the sender", "kms/rest/exchange.go",
		"\t\tx.hearSender()\n", "",
		"a write through a passive that stood still is refused", "kms/rest", "TestSenderAnswers",
	},
	{
		"one hand at a time", "kms/repeat.go",
		"if !a.resolvedAt.IsZero() && a.holder == nil {", "if !a.resolvedAt.IsZero() {",
		"two callers are told of one creation", "kms", "TestReturnedIsClaimed|TestWaiterIsToldOfNothing",
	}, {
		"a hand that the success has left reports nothing", "kms/hand.go",
		"return h.attempt.holder == h && h.attempt.toldAt.IsZero()", "return h.attempt.toldAt.IsZero()",
		"a report that comes twice or late takes a success away from the one who has it", "kms", "TestReturnedIsClaimed|TestSameDeliveryAgain",
	}, {
		"told makes waiters new attempts", "kms/resolve.go",
		"\tr.endLocked(a, nil)\n", "\tr.grantLocked(a)\n",
		"a waiter is told of a success that another has been told of", "kms", "TestWaiterIsToldOfNothing|TestIdenticalRolls",
	}, {
		"the oldest delivery first", "kms/resolve.go",
		"if s.age < oldest.age {", "if s.age > oldest.age {",
		"the delivery that made the change waits behind its repeats", "kms", "TestSameDeliveryTakesItsPlaceAgain",
	}, {
		"a success is claimed while it is the last change", "kms/attempt.go",
		"err == nil && k.Last.ID != m.change.ID", "err == nil && k.Last.ID != m.change.ID && false",
		"a repeat is told that a key was made which has been deleted since", "kms", "TestClaimOnlyTheLastChange",
	}, {
		"a roll is claimed for a minute", "kms/hand.go",
		"return now.Sub(a.first) <= claimRoll", "return true",
		"a roll an hour later is given a version that has been in use for an hour", "kms", "TestAgeOfAClaim",
	}, {
		"a change is claimed for ten minutes", "kms/hand.go",
		"return now.Sub(a.resolvedAt) <= claimOthers", "return true",
		"a success is claimed long after anybody repeats it", "kms", "TestAgeOfAClaim",
	}, {
		"a claim holds in its own duty and epoch", "kms/hand.go",
		"case a.world != world:", "case false:",
		"a success from before a switchover is claimed after it", "kms", "TestOtherWorld",
	}, {
		"no write while the state is not certain", "kms/write.go",
		"\tif !certain {\n", "\tif !certain && false {\n",
		"a host that is not certain of its state begins a write", "kms", "TestOrderOfRefusals",
	}, {
		"no claim by a waiter while the state is not certain", "kms/attempt.go",
		"\tif !certain {\n", "\tif !certain && false {\n",
		"a fenced host answers claims", "kms", "TestClaimInDoubt",
	}, {
		"the caller is part of the identity", "kms/write.go",
		"[][]byte{[]byte(w.Principal.Identity()), ", "[][]byte{",
		"one caller claims what another made", "kms", "TestNobodyClaimsAnothers",
	}, {
		"the body is part of the identity", "kms/write.go",
		"[]byte(w.RequestID), w.Body}", "[]byte(w.RequestID)}",
		"another request is answered with the success of this one", "kms", "TestNobodyClaimsAnothers",
	}, {
		"the request's id is part of the identity", "kms/write.go",
		"[]byte(w.name), []byte(w.RequestID), ", "[]byte(w.name), ",
		"a request with an id takes the success of the same one without", "kms", "TestAnIDTakesNoClaim",
	}, {
		"an id belongs to one request", "kms/attempt.go",
		"if c.Kind != w.kind || c.By != w.Principal.By() || k.Name != w.name {", "if false {",
		"an id gives another request's result", "kms", "TestRequestID",
	}, {
		"an id belongs to one body", "kms/attempt.go",
		"if err == nil && !w.same(k, m.material) {", "if false {",
		"an id gives the result of another body", "kms", "TestRequestID",
	}, {
		"an id knows what was undone", "kms/attempt.go",
		"\tif err := stands(c, k); err != nil {", "\tif err := stands(c, k); err != nil && false {",
		"an id is told of a key that has been deleted since", "kms", "TestRequestID",
	}, {
		"the rights of now", "kms/write.go",
		"\tfor recorded := false; ; {\n\t\tif err := w.allow(ctx); err != nil {",
		"\tfor recorded := false; ; {\n\t\tif err := w.allow(ctx); err != nil && !recorded {",
		"who lost the right while he waited makes a key all the same", "kms", "TestRightsWithdrawnDuringTheWait",
	}, {
		"a shut gate keeps nobody waiting", "kms/write.go",
		"\terr := s.MayWrite(ctx)\n\tif err != nil && (", "\terr := error(nil)\n\tif err != nil && (",
		"a write waits although the gate is shut", "kms", "TestShutGate",
	}, {
		"one write of a key at a time", "kms/repeat.go",
		"if a := r.names[d.name]; a != nil {", "if a := r.names[d.name]; a != nil && false {",
		"a second write of the key begins while the first is in doubt", "kms", "TestAnotherWriterWaits|TestUnknownForEver",
	}, {
		"the table is bounded", "kms/repeat.go",
		"if !r.roomLocked(d.principal) {", "if !r.roomLocked(d.principal) && false {",
		"one caller fills the memory, and takes the claims of others", "kms", "TestManyThatHangUp|TestManyThatWait",
	}, {
		"waiters are bounded", "kms/repeat.go",
		"if r.waiting[d.principal] <= maxAttemptsPrincipal && r.waitTotal <= maxAttempts {", "if true {",
		"one caller's waiting fills the memory", "kms", "TestManyThatWait",
	}, {
		"a success that is not on record is returned", "kms/attempt.go",
		"s.repeats.resolve(a, m, nil, s.recordSuccess(&w, m))", "s.recordSuccess(&w, m)\n\ts.repeats.resolve(a, m, nil, nil)",
		"a success is told that the audit log does not know", "kms", "TestOutcomeCanNotBeRecorded",
	}, {
		"a success that is not on record is not refused", "kms/attempt.go",
		"\tif s.record(e) != nil {\n\t\treturn ErrOutcomeUnknown\n\t}\n\treturn nil\n", "\treturn s.record(e)\n",
		"a write that was made is told as refused, and the client makes another at the other host", "kms", "TestOutcomeCanNotBeRecorded",
	}, {
		"a claim that is not on record is returned", "kms/attempt.go",
		"\tif err == nil {\n\t\terr = s.recordSuccess(w, m)\n\t} else {", "\tif err == nil {\n\t\ts.recordSuccess(w, m)\n\t} else {",
		"a claim is told that the audit log does not know", "kms", "TestOutcomeCanNotBeRecorded",
	}, {
		"a delivery that is sent again keeps its place", "kms/repeat.go",
		"if a := r.told[d.deliveryID]; again(a) {", "if a := r.told[d.deliveryID]; again(a) && false {",
		"the passive that asks again rolls the key twice", "kms", "TestSameDeliveryAgain",
	},
	{
		"the first byte means told", "kms/rest/answer.go",
		"\t\tres.hand.Told()\n", "\t\tdefer res.hand.Returned()\n",
		"a client that has read its 201 and closed is taken for one that has not, and another is told too", "kms/rest", "TestClientGoneAfterTheAnswer|TestHandover|TestIdenticalAtOnce",
	},
	{
		"a client that is gone is told nothing", "kms/rest/answer.go",
		"\tif x.r.Context().Err() != nil {\n\t\tres.hand.Returned()", "\tif false {\n\t\tres.hand.Returned()",
		"a success is lost with a client that had gone before", "kms/rest", "TestClientGoneAtTheLastMoment|TestClientGoneBeforeTheAnswer",
	},
	{
		"no report means told", "kms/rest/handover.go",
		"func() { t.report(number, true) }", "func() { t.report(number, false) }",
		"a passive that died with the success in its hand has told, and another is told too", "kms/rest", "TestHandover",
	},
	{
		"a handover is reported once", "kms/rest/handover.go",
		"\tdelete(t.given, number)\n", "",
		"a second report takes a success away from the one who has it", "kms/rest", "TestHandoversForget",
	},
	{
		"a success that came too late is returned", "kms/rest/forward.go",
		"late.reply.handover != 0 {\n\t\t\tx.reportHand(late.reply.handover, false)", "late.reply.handover != 0 && false {\n\t\t\tx.reportHand(late.reply.handover, false)",
		"a success that nobody was told of is lost", "kms/rest", "TestForwardTooLate|TestForwardClientGone",
	},
	{
		"what was relayed is reported as told", "kms/rest/forward.go",
		"defer func() { go x.reportHand(r.handover, true) }()", "defer func() { go x.reportHand(r.handover, false) }()",
		"two callers are told of one creation", "kms/rest", "TestForward|TestIdenticalAtOnce",
	},
	{
		"what was sent is never called unsent", "kms/rest/forward.go",
		"if !sent && errors.As(err, &notSent) && notSent.NotSent() {", "if errors.As(err, &notSent) && notSent.NotSent() {",
		"a write that may be done is refused as if nothing was attempted", "kms/rest", "TestForwardBrokenThenUnsent",
	},
	{
		"a write that was sent before is not refused", "kms/rest/forward.go",
		"if err == nil && sent && r.status == http.StatusServiceUnavailable {", "if false && err == nil && sent && r.status == http.StatusServiceUnavailable {",
		"a write that may be done is refused as if nothing was attempted", "kms/rest", "TestForwardBrokenThenRefused|TestForwardBroken|TestForwardBrokenThenUnsent",
	},
	{
		"a delivery keeps its id", "kms/rest/exchange.go",
		"\t\tx.delivery = id.String()\n", "\t\t_ = id\n",
		"a delivery that the passive repeats is another write", "kms/rest", "TestForwardBroken",
	},
	{
		"the word of the peer is for the cluster's listener", "kms/rest/forward.go",
		"if response.Header.Get(answeredHeader) == \"\" {", "if false {",
		"a refusal of the listener is relayed as the active's answer", "kms/rest", "TestForwardUnsent",
	},
	{
		"the waits of a refusal fit into two seconds", "replication/peer/forward.go",
		"const connectWithin = 1200 * time.Millisecond", "const connectWithin = 1600 * time.Millisecond",
		"a write that nobody began is refused later than promised", "kms/rest", "TestRefusedWithinTwoSeconds",
	},
}

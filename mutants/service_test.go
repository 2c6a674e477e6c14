package mutants

// service are the guards of reads, caches and rights.
var service = []row{
	{
		"a fill of an older generation is discarded", "kms/cache.go",
		"if c.generation != generation {", "if c.generation != generation && false {",
		"a name that was read before it changed is served after it", "kms", "TestFillOfAnOlderGeneration",
	}, {
		"a change of its own ends the generation", "kms/cache.go",
		"c.generation++\n\tdelete(c.keys, name)", "delete(c.keys, name)",
		"a reading that began before a write of this host is remembered after it", "kms", "TestFillDuringAWriteOfItsOwn",
	}, {
		"a new generation is empty", "kms/cache.go",
		"\tc.keys, c.current, c.versions = map[KeyName]Key{}, map[ID]VersionRef{}, map[VersionName]namedVersion{}\n", "\tif c.keys == nil {\n\t\tc.keys, c.current, c.versions = map[KeyName]Key{}, map[ID]VersionRef{}, map[VersionName]namedVersion{}\n\t}\n",
		"what a name meant before a change of the other host is served after it", "kms", "TestFillOfAnOlderGeneration|TestPurgedNameMeansAnotherKey|TestWarmCacheReadsNothing",
	}, {
		"a deletion drops the opened material", "kms/cache.go",
		"if e.Value.(openedVersion).key == change.KeyID {", "if false {",
		"material of a deleted key stays in memory", "kms", "TestCacheForgetsWhatWasDeleted",
	}, {
		"an unknown outcome ends the generation", "kms/attempt.go",
		"\tcase errors.Is(err, ErrOutcomeUnknown):\n\t\ts.cache.invalidate()\n", "\tcase errors.Is(err, ErrOutcomeUnknown):\n",
		"a name means what it meant before a write of unknown outcome", "kms", "TestUnknownIsNotRemembered",
	}, {
		"a deleted key is not served", "kms/lookup.go",
		"k, err := s.key(ctx, name)\n\tif err == nil && k.Deleted() {", "k, err := s.key(ctx, name)\n\tif false {",
		"a deleted key is served by its name", "kms", "TestDeletedKeyIsNotServed",
	}, {
		"a deleted key's versions are not served", "kms/lookup.go",
		"v, k, err := s.Store.Version(ctx, name)\n\tif err == nil && k.Deleted() {", "v, k, err := s.Store.Version(ctx, name)\n\tif false {",
		"a deleted key is served by its version", "kms", "TestDeletedKeyIsNotServed",
	}, {
		"material is for who may GET it", "kms/change_key.go",
		"\tif s.Policy.Allows(p, OpGet) {", "\tif true {",
		"who may only create is given the key", "kms", "TestMaterialOnlyForWhoMayGet|TestRightsWithdrawnDuringTheWait",
	}, {
		"the attempt is on record before the act", "kms/write.go",
		"if err := s.record(w.event(AuditAttempt)); err != nil {", "if err := s.record(w.event(AuditAttempt)); err != nil && false {",
		"a key is made that no audit log knows of", "kms", "TestOrderOfRefusals|TestWriteInOrder",
	}, {
		"a gate that shuts ends what is inside", "kms/attempt.go",
		"m, err := w.change(inside)", "m, err := w.change(ctx)",
		"a write is begun after the gate has shut", "kms", "TestGateShutsBetweenTries",
	},
	{
		"a proof that leaves the passive has emptied its caches", "cmd/keytrusteed/prover.go",
		"\tp.forget()\n", "",
		"the passive serves what a name meant before a change that was acknowledged", "cmd/keytrusteed", "TestProofForgets",
	},
	{
		"the passive forgets before news are shown", "replication/news.go",
		"\tif _, err := m.ask(ctx, *peer, Ask{Forget: true}, callLimit); err != nil {\n", "\tif _, err := m.ask(ctx, *peer, Ask{Forget: true}, callLimit); err != nil && false {\n",
		"the two hosts answer differently, and both from memory", "replication", "TestForgetBeforeWhatIsShown",
	},
	{
		"the active forgets when news are shown", "replication/news.go",
		"\tm.forget()\n", "",
		"a change whose outcome came late is not seen until the caches are full", "replication", "TestForgetBeforeWhatIsShown",
	},
	{
		"a passive that is told to forget forgets", "replication/answer.go",
		"\tif q.Forget {\n", "\tif q.Forget && false {\n",
		"the passive serves what a name meant before a change that came to light late", "replication", "TestAnswerForgets",
	},
}

package mutants

// damage are the guards against what a disk does not give back as it was written.
var damage = []row{
	{
		"a damaged page is named", "postgres/pages.go",
		"if len(e.Pages) > 0 {", "if false && len(e.Pages) > 0 {",
		"nobody is told what is damaged, nor that it is the data of the host", "postgres", "TestStreams",
	}, {
		"a damaged page is refused as one", "kms/pgstore/read.go",
		"\tif postgres.Damaged(err) {\n\t\treturn kms.NotReadyError", "\tif false && postgres.Damaged(err) {\n\t\treturn kms.NotReadyError",
		"a client is told that the database does not answer, and an operator looks in the wrong place", "kms/pgstore", "TestDamagedPage",
	}, {
		"a damaged page hides its own rows alone", "kms/pgstore/read.go",
		"once = s.readAround", "once = s.readOnce",
		"one damaged page takes every key of a small table with it", "kms/pgstore", "TestDamagedPage",
	}, {
		"a survey reads page by page", "kms/pgstore/survey.go",
		"set local enable_seqscan = off", "set local enable_seqscan = on",
		"keys that could still be read are given up", "kms/pgstore", "TestDamagedPage",
	}, {
		"a version without its change is not whole", "kms/pgstore/survey.go",
		"case !v.changed:", "case false && !v.changed:",
		"keys that are lost are called whole", "kms/pgstore", "TestDamagedPage",
	}, {
		"rows that others speak of are looked for", "kms/pgstore/linked.go",
		"if n > 0 {", "if n < 0 {",
		"keys in a page of zeros are lost unseen", "kms/pgstore", "TestDamagedPage",
	}, {
		"what a purged key lacks is not missed", "kms/pgstore/linked.go",
		"q.QueryRow(ctx, ofLiving(b.sql))", "q.QueryRow(ctx, \"select count(*) from (\"+b.sql+\") b\")",
		"one row that both hosts have lost ends backups and promotions for ever", "kms/pgstore", "TestPurgedKeyIsNotMissed",
	}, {
		"before a promotion the disk is read", "replication/promote.go",
		"read := m.server.StreamBaseBackup(ctx, io.Discard)", "_, read := io.Discard.Write(nil)",
		"a passive is promoted that has lost keys", "replication", "TestPromotionOfDamagedData",
	}, {
		"before a promotion the rows are looked at", "replication/promote.go",
		"if m.linked != nil && !postgres.Damaged(read) {", "if false {",
		"a passive is promoted that has lost keys", "replication", "TestPromotionOfDamagedData",
	}, {
		"what is no damage stands in no promotion's way", "replication/promote.go",
		"case err != nil && !postgres.Damaged(err):", "case false:",
		"a file that the service may not read leaves a pair without an active", "replication", "TestPromotionOfDamagedData",
	}, {
		"a damaged host is promoted by its operator's word alone", "replication/promote.go",
		"case err != nil && accepted:", "case err != nil:",
		"keys are lost, and nobody has decided so", "replication", "TestPromotionOfDamagedData",
	}, {
		"a damaged page that was met in time is named", "postgres/stream.go",
		"Damaged(met) {", "false && Damaged(met) {",
		"a passive is promoted whose damage was seen, for it is large", "postgres", "TestStreams",
	}, {
		"a disk that reads no more is damage", "postgres/pages.go",
		"if notRead.MatchString(text) {", "if false {",
		"a passive is promoted whose disk gives back nothing", "postgres", "TestDamaged",
	}, {
		"a backup has every row that another speaks of", "cmd/ktadmin/backup_check.go",
		"return pgstore.Linked(ctx, q)", "return nil",
		"a backup is verified that lacks what its host has lost already", "cmd/ktadmin", "TestBackup",
	}, {
		"a passive that is damaged takes nothing over", "replication/precheck.go",
		"found.look(s.Local.Damaged == 0, ", "found.look(true, ",
		"two good copies become one, on the disk that loses what it has", "replication", "TestPromotionOfDamagedData",
	}, {
		"a survivor's copy is looked at", "host/restore.go",
		"if j.o.Linked != nil {", "if false {",
		"an active is restored without keys that were acknowledged", "host", "TestRestoreFromTheSurvivor",
	},
}

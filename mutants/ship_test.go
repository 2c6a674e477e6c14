package mutants

// ship are the guards of what is sent elsewhere, and of what is removed there.
var ship = []row{
	{
		"what was sent is read back", "backup/send.go",
		"if err := s.reread(s.partial()); err != nil {", "if err := s.reread(s.partial()); err != nil && s.ctx == nil {",
		"a target lists a backup that it has lost", "backup", "TestShipLiar",
	}, {
		"what is sent is what was verified", "backup/send.go",
		"got != s.backup.SHA256 {\n\t\terr := &DamageError", "got == \"\" {\n\t\terr := &DamageError",
		"a backup that was damaged here is said to be a target's fault", "backup", "TestShipDamagedHere",
	}, {
		"a part is compared", "backup/send.go",
		"if !bytes.Equal(a[:n], b[:n]) {", "if !bytes.Equal(a[:n], b[:n]) && n > block {",
		"what is wrong in a part is gone on with", "backup", "TestShipGoesOn",
	}, {
		"a receipt is read back", "backup/send.go",
		"if err == nil && !bytes.Equal(text, s.receipt) {", "if err == nil && text == nil {",
		"a target has a backup and no receipt of it", "backup", "TestShipLiar",
	}, {
		"a target lists what it was given", "backup/send.go",
		"!there || size != s.backup.Size || files", "false && !there && size == 0 || files",
		"a target that did not rename is believed to have", "backup", "TestShipLiar",
	}, {
		"another cluster's backup stays", "backup/send.go",
		"\tif other.SHA256 != s.backup.SHA256 {\n\t\treturn false, s.another", "\tif other.SHA256 == \"\" {\n\t\treturn false, s.another",
		"two clusters that send to one directory overwrite each other's backups", "backup", "TestShipOthers",
	}, {
		"what is sent is synced", "backup/sftp.go",
		"	return s.File.Sync()", "	return nil",
		"a target lists a backup that a power loss has taken", "backup", "TestShipPowerLoss",
	}, {
		"a name there is synced", "backup/sftp.go",
		"		d.Sync()\n", "",
		"a target has confirmed a backup that a power loss takes", "backup", "TestShipPowerLoss",
	}, {
		"a host is known", "backup/sftp.go",
		"refused = keys.refuse(t.address, from, key)", "_, refused = keys.refuse(t.address, from, key), nil",
		"whoever answers gets the backups", "backup", "TestHostKey",
	}, {
		"a private key is this user's alone", "backup/sshkey.go",
		"mode.Perm()&closedTo != 0 || ", "",
		"a key that others have read lets them in at the target", "backup", "TestSSHKey",
	}, {
		"a copy lies elsewhere", "backup/place.go",
		"err == nil && os.SameFile(here, there) {", "err == nil && here == nil && os.SameFile(here, there) {",
		"a backup is its own copy", "backup", "TestShipRefused",
	}, {
		"what stands still is given up", "backup/attend.go",
		"case <-time.After(farewell):", "case <-make(chan time.Time):",
		"a directory whose server is gone holds everything up", "backup", "TestAttend",
	}, {
		"a target that lacks something keeps everything", "backup/ship.go",
		"} else if next == nil && len(faults) > 0 {", "} else if next == nil && len(faults) > 0 && s.thin(ctx, t, n, d) == nil {",
		"the last good copies go while the newest backup can not be sent", "backup", "TestShipKeepsWhatItHas",
	}, {
		"what goes is this host's", "backup/thin.go",
		"b.Manifest.of(s.Host, s.Cluster, s.RootKey)", "b.Manifest.of(s.Host, b.Manifest.Cluster, s.RootKey)",
		"another cluster's backups are removed", "backup", "TestShipKeeps",
	}, {
		"a receipt that can not be read is nobody's", "backup/send.go",
		"case !ours:", "case !ours && !told:",
		"another cluster's backup is overwritten since its receipt was damaged", "backup", "TestShipOthers",
	}, {
		"a listing has an end", "backup/sftp.go",
		"r.most.Store(maxListing)", "r.most.Store(maxListing << 20)",
		"a server that lists without end takes the memory of a host", "backup", "TestShipEndlessListing",
	},
}

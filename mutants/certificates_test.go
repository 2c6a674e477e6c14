package mutants

// certificates are the guards of certificates that are renewed, and of a root key that is made anew.
var certificates = []row{
	{
		"the authority's next certificate begins with the first", "certs/renew.go",
		"return selfSigned(a.key, a.cert.Subject, a.cert.NotBefore, now)", "return selfSigned(a.key, a.cert.Subject, now.Add(-backdate), now)",
		"no key-encryption key opens any more that was wrapped before", "certs", "TestRenew",
	}, {
		"the authority's key stays", "certs/renew.go",
		"case !a.key.PublicKey.Equal(c.PublicKey) || ", "case ",
		"a stranger's authority of the same name is believed", "certs", "TestRenew",
	}, {
		"an adopted certificate begins as early", "certs/renew.go",
		"case c.NotBefore.After(a.cert.NotBefore):", "case false:",
		"no key-encryption key opens any more that was wrapped before", "certs", "TestRenew",
	}, {
		"an adopted certificate ends as late", "certs/renew.go",
		"case c.NotAfter.Before(a.cert.NotAfter):", "case false:",
		"the expired authority comes back by the other host", "certs", "TestRenew",
	}, {
		"an expired authority signs nothing", "host/renew.go",
		"\tif !now.Before(authority.Expires()) {\n", "\tif false {\n",
		"a renewal seems done, and nothing is valid", "host", "TestRenewAuthority",
	}, {
		"a renewed host keeps its key", "host/renew.go",
		"\tif errors.Is(err, fs.ErrNotExist) {\n\t\treturn h.completeCluster(authority)\n", "\tif err == nil {\n\t\treturn h.completeCluster(authority)\n",
		"the host is a stranger to the other one", "host", "TestRenew",
	}, {
		"another authority's certificate stays", "host/renew.go",
		"\tif !authority.Signed(c) {\n", "\tif c == nil {\n",
		"a site's own certificate is replaced, and its clients refuse the host", "host", "TestRenew",
	}, {
		"another authority's certificate is not due", "host/renew.go",
		"&& !c.Foreign && (", "&& (",
		"a daemon renews by the hour what it can not renew", "host", "TestRenewDue",
	}, {
		"what ends with the authority is not due", "host/renew.go",
		" && c.Expires.Before(authority.Expires)\n", "\n",
		"a daemon renews by the hour what can not end later", "host", "TestRenewDue",
	}, {
		"nothing is due that would not be good", "host/renew.go",
		"\tif now.Before(authority.Begins) || !now.Before(authority.Expires) {\n", "\tif false {\n",
		"a host whose clock stands at its beginning signs by the hour what nobody believes", "host", "TestRenewWithAWrongClock",
	}, {
		"a renewed certificate begins with the one before it", "certs/authority.go",
		"\tif old != nil && old.NotBefore.Before(template.NotBefore) {\n", "\tif false {\n",
		"a clock that was ahead for a moment leaves a host without a good certificate", "host", "TestRenewWithAWrongClock",
	}, {
		"a renewed certificate ends no earlier", "certs/authority.go",
		"\tif old != nil && old.NotAfter.After(template.NotAfter) {\n", "\tif false {\n",
		"a clock that was behind for a moment makes a certificate expire", "host", "TestRenewWithAWrongClock",
	}, {
		"a certificate that begins later is due", "host/renew.go",
		"(ends || now.Before(c.Begins))", "ends",
		"a host that was started with a wrong clock stays a stranger for years", "host", "TestRenewWithAWrongClock",
	}, {
		"a certificate that begins later is said", "host/status.go",
		"\tcase now.Before(c.Begins):\n", "\tcase false:\n",
		"the operator sees a certificate that is good for years, and no client believes it", "host", "TestRenewWithAWrongClock",
	}, {
		"with clocks apart nothing is renewed", "cmd/keytrusteed/renewals.go",
		"\t\tif !clocksApart(report()) {", "\t\tif true || clocksApart(report()) {",
		"certificates are made by a clock that is known to be wrong", "cmd/keytrusteed", "TestRenewalsWaitForTheClocks",
	}, {
		"a certificate that is not good yet is said in the summary", "host/cluster_judge.go",
		"if begins, early := n.Begins[name]; early {", "if begins, early := n.Begins[name]; early && begins.IsZero() {",
		"no client believes a host, and the pair is GOOD", "host", "TestCertificateOfTomorrow",
	}, {
		"a certificate that is not good yet is known to the other host", "cmd/keytrusteed/beside.go",
		"b.Certificates[c.Name()], b.Begins[c.Name()] = c.Expires, c.Begins", "b.Certificates[c.Name()] = c.Expires",
		"no client believes a host, and the pair is GOOD", "cmd/keytrusteed", "TestBesideCertificates",
	}, {
		"the summary knows whose a certificate is", "host/cluster_judge.go",
		"renewal(name, slices.Contains(n.Foreign, name))", "renewal(name, false)",
		"the operator runs a command that leaves the certificate as it is, and it ends", "host", "TestForeignRenewal",
	}, {
		"certificates wait for an operation's end", "host/renew.go",
		"if what, then, unended := j.Unended(); unended {", "if what, then, unended := j.Unended(); unended && false {",
		"a join that is given up puts back what was renewed", "host", "TestRenewBesideAnOperation",
	}, {
		"the database shows the new certificate", "host/renew.go",
		"\treturn h.reloadDB(ctx)\n", "\treturn nil\n",
		"the passive does not come back after the next break", "runbook", "TestRunbook",
	}, {
		"a daemon renews at its start", "cmd/keytrusteed/serve.go",
		"\tg.Go(func() error { renewals(running, p.self.RenewDue, p.monitor.Report, p.recorder.Note, log); return nil })\n", "\t_ = renewals\n",
		"a pair that was down for long does not come back", "runbook", "TestRunbook",
	}, {
		"an expired certificate is no absence", "replication/rules.go",
		"\tif s.PeerExpired != \"\" {\n", "\tif false {\n",
		"the operator is sent to start what runs", "replication", "TestExpired",
	}, {
		"what opens the keys is made anew with a line in the audit log before", "cmd/internal/auditlog/command.go",
		"\t\terr = recorder.Note(Notice(act, self.Name))\n", "\t\terr = nil\n",
		"a root key is made anew, and nobody finds out that it was tried", "cmd/internal/auditlog", "TestCommand",
	}, {
		"what can not be recorded is not done", "cmd/internal/auditlog/command.go",
		"\tif err != nil {\n\t\treturn nil, &host.HintedError{", "\tif err != nil && recorder == nil && act.ID == \"\" {\n\t\treturn nil, &host.HintedError{",
		"who fills the disk of the log makes a root key unseen", "cmd/internal/auditlog", "TestCommand",
	}, {
		"how it ended is recorded", "cmd/internal/auditlog/command.go",
		"noted := recorder.Note(Notice(act, self.Name)); noted", "noted := error(nil); noted",
		"nobody finds out that a root key was made anew", "cmd/internal/auditlog", "TestCommand",
	}, {
		"a command of ktadmin reaches the receiver of syslog", "cmd/internal/auditlog/command.go",
		"away == nil {\n\t\t\t\t\tbreak\n", "away != nil {\n\t\t\t\t\tbreak\n",
		"a root key is made anew, and the log on another machine does not know", "cmd/internal/auditlog", "TestCommand",
	}, {
		"the recovery key is confirmed with lines in the audit log", "cmd/ktadmin/rootkey.go",
		"err = a.audited(c, \"root-key/confirm-recovery\", struct{}{}, func() (any, error) {", "_, err = func(do func() (any, error)) (any, error) { return do() }(func() (any, error) {",
		"nobody finds out who had the recovery key", "cmd/ktadmin", "TestScripts",
	}, {
		"a root key that is good stays", "host/recovery.go",
		"if _, err := seal.Load(h.Confdir); err == nil {", "if _, err := seal.Load(h.Confdir); err == nil && text == \"\" {",
		"a host's good root key is replaced by mistake", "host", "TestRecoverRoot",
	}, {
		"what lies in a root key's place is kept", "host/recovery.go",
		"\tif _, err := os.Lstat(path); err == nil {\n", "\tif _, err := os.Lstat(path); err == nil && path == \"\" {\n",
		"a root key that was only unreadable is lost", "host", "TestRecoverRoot",
	}, {
		"no wrap is left for a lost root key", "host/recovery.go",
		"if err := h.dropWraps(root.Public()); err != nil {", "if err := error(nil); err != nil {",
		"who has found the lost root key opens what is made later", "host", "TestRecoverRoot",
	}, {
		"a recovery that was broken off leaves no wrap for the lost root key", "host/recovery.go",
		"\tif err := h.dropWraps(root.Public()); err != nil {\n\t\treturn \"\", err\n\t}\n\tif err := h.reached(\"recover: dropped\"); err != nil {\n\t\treturn \"\", err\n\t}\n" +
			"\tif err := durable.Rename(path+\".new\", path); err != nil {\n\t\treturn \"\", err\n\t}\n\treturn aside, h.reached(\"recover: named\")\n",
		"\tif err := durable.Rename(path+\".new\", path); err != nil {\n\t\treturn \"\", err\n\t}\n" +
			"\tif err := h.reached(\"recover: named\"); err != nil {\n\t\treturn \"\", err\n\t}\n\treturn aside, h.dropWraps(root.Public())\n",
		"who has found the lost root key opens what is made later, and the command that would end that is refused", "host", "TestRecoverRootRepeatedAfterACrash",
	}, {
		"wraps are signed while the certificate is good", "host/recovery.go",
		"\tif now.Before(signer.Certificate.NotAfter) {\n", "\tif now.Before(signer.Certificate.NotAfter) || !now.IsZero() {\n",
		"a host with an expired certificate gets no root key", "host", "TestRecoverRootExpired",
	}, {
		"a passive without a root key is known by its certificate", "cmd/ktadmin/join.go",
		"(copied || kind == host.Reclone)", "copied",
		"the page's command is refused", "runbook", "TestRunbook",
	},
}

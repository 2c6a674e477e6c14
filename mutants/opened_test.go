package mutants

// opened are the guards of who opens a backup away from the host that made it.
var opened = []row{
	{
		"a backup's streams are held against its trailer", "backup/unpack.go",
		"!slices.Equal(u.Trailer.Streams, a.done)", "slices.Equal(u.Trailer.Streams, nil)",
		"a backup that is damaged within is restored", "backup", "TestUnpackDamaged",
	}, {
		"a backup of a newer form is not read", "backup/manifest.go",
		"\tcase head.Format > Format:\n", "\tcase head.Format < 0:\n",
		"a backup that is whole is called damaged", "backup", "TestUnpackNewer",
	}, {
		"a backup without a form is not read", "backup/manifest.go",
		"\tcase head.Format != Format:\n", "\tcase head.Format < 0:\n",
		"something else is restored as a backup", "backup", "TestUnpackDamaged",
	}, {
		"a stream stands in its place", "backup/read.go",
		"if !r.is(memberName(name, 0)) {", "if r.header == nil {",
		"a backup that lacks a piece is restored", "backup", "TestArchiveOutOfOrder",
	}, {
		"a backup ends with its trailer", "backup/read.go",
		"\tif r.header != nil {\n\t\treturn nil, errors.New(\"something comes after the trailer\")", "\tif false {\n\t\treturn nil, errors.New(\"something comes after the trailer\")",
		"what was added to a backup goes unseen", "backup", "TestArchiveOutOfOrder",
	}, {
		"what does not unpack is not left", "backup/unpack.go",
		", os.RemoveAll(dir))", ")",
		"half a database lies about, and the next try finds it in its way", "backup", "TestUnpackDamaged|TestUnpackIsInterrupted",
	},
}

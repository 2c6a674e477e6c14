package interop

import (
	"bytes"
	"context"
	"embed"
	"os"
	"path/filepath"

	"keytrustee/internal/cached"
)

//go:embed pom.xml src
var files embed.FS

// Toolkit is the stock Hadoop client on this machine. It may be used concurrently.
type Toolkit struct {
	classPath string
}

// Prepare returns the toolkit. The first call on a machine fetches the libraries of pom.xml with Maven and compiles the driver, into
// the user's cache, under names made of their contents; later ones find them there.
func Prepare(ctx context.Context) (*Toolkit, error) {
	pom, err := files.ReadFile("pom.xml")
	if err != nil {
		return nil, err
	}
	libraries, err := cached.Once("hadoop", pom, func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644); err != nil {
			return err
		}
		return cached.Run(ctx, dir, "mvn", "-B", "-q", "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(dir, "lib"))
	})
	if err != nil {
		return nil, err
	}
	jars := filepath.Join(libraries, "lib", "*")
	const java = "src/main/java/keytrustee/interop/Driver.java"
	driver, err := files.ReadFile(java)
	if err != nil {
		return nil, err
	}
	logging, err := files.ReadFile("src/main/resources/log4j.properties")
	if err != nil {
		return nil, err
	}
	classes, err := cached.Once("driver", bytes.Join([][]byte{pom, driver, logging}, nil), func(dir string) error {
		source := filepath.Join(dir, "Driver.java")
		if err := os.WriteFile(source, driver, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "log4j.properties"), logging, 0o644); err != nil {
			return err
		}
		return cached.Run(ctx, dir, "javac", "--release", "17", "-cp", jars, "-d", dir, source)
	})
	if err != nil {
		return nil, err
	}
	return &Toolkit{classPath: classes + ":" + jars}, nil
}

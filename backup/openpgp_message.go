package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// newOpenPGPKey makes a key that is in memory alone.
func newOpenPGPKey() (*openpgp.Entity, error) {
	return openpgp.NewEntity("a run of keytrustee", "", "", openPGPConfig())
}

// messageCipher is what every message is encrypted with. The library would take a weaker one where the preferences of one recipient's key lack it;
// every GnuPG opens this one, whatever the key says.
const messageCipher = packet.CipherAES256

// sealOpenPGP writes one OpenPGP message, binary and not compressed, which gpg opens. Of what is held in memory there is never more than a few parts.
func sealOpenPGP(to ...*openpgp.Entity) sealer {
	return func(w io.Writer) (io.WriteCloser, error) {
		config := openPGPConfig()
		session := make([]byte, messageCipher.KeySize())
		defer clear(session)
		if _, err := io.ReadFull(config.Random(), session); err != nil {
			return nil, err
		}
		for _, recipient := range to {
			part, err := recipient.EncryptionKeyWithError(config.Now(), config)
			if err != nil {
				return nil, err
			}
			if err := packet.SerializeEncryptedKey(w, part.PublicKey, messageCipher, session, config); err != nil {
				return nil, err
			}
		}
		sealed, err := packet.SerializeSymmetricallyEncrypted(w, messageCipher, false, packet.CipherSuite{}, session, config)
		if err != nil {
			return nil, err
		}
		literal, err := packet.SerializeLiteral(sealed, true, "", 0)
		return parts{literal}, err
	}
}

// parts hands a writer what it gets in small parts: the library holds as much as it is given at once, several times.
type parts struct{ io.WriteCloser }

func (w parts) Write(p []byte) (n int, err error) {
	const part = 64 << 10
	for err == nil && n < len(p) {
		var k int
		k, err = w.WriteCloser.Write(p[n:min(n+part, len(p))])
		n += k
	}
	return n, err
}

// openMessage opens an OpenPGP message. What it yields is not known to be what was written before it has ended: only there is the digest of
// changes compared. It is never more than the file: one that is compressed is refused.
func (i Identities) openMessage(file io.Reader) (plain io.Reader, opened string, err error) {
	from := &failing{from: file}
	ring := &asked{EntityList: i.keys}
	in := io.Reader(from)
	if i.session != nil {
		key, head, err := i.session.key()
		if err != nil {
			return nil, "", err
		}
		ring.EntityList, in = append(ring.EntityList[:len(ring.EntityList):len(ring.EntityList)], key), io.MultiReader(bytes.NewReader(head), from)
	}
	message, err := openpgp.ReadMessage(in, ring, nil, openPGPConfig())
	switch {
	case from.err != nil:
		return nil, "", from.err
	case errors.Is(err, pgperrors.ErrKeyIncorrect):
		return nil, "", i.stranger(ring.ids...)
	case errors.Is(err, pgperrors.ErrDecryptSessionKeyParsing):
		return nil, "", fmt.Errorf("decrypting: %w; if gpg has encrypted it anew, it is compressed, which is not read: gpg --decrypt FILE | gpg -z 0 --recipient KEY --encrypt", err)
	case err != nil:
		return nil, "", fmt.Errorf("decrypting: %w", err)
	case !message.IsEncrypted:
		return nil, "", errors.New("it is an OpenPGP message that is not encrypted")
	}
	opened = openPGPPrefix + fingerprintOf(message.DecryptedWith.Entity.PrimaryKey)
	if i.session != nil {
		opened = sessionKeyOf
	}
	return body{message.UnverifiedBody, from}, opened, nil
}

// asked is a keyring that notes which keys a message asks for.
type asked struct {
	openpgp.EntityList
	ids []uint64
}

func (a *asked) EntitiesById(id uint64) []*openpgp.Entity {
	a.ids = append(a.ids, id)
	return a.EntityList.EntitiesById(id)
}

// failing keeps why the file could not be read: the library makes one error of all that goes wrong once it decrypts.
type failing struct {
	from io.Reader
	err  error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.from.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// body is what is in a message.
type body struct {
	io.Reader
	file *failing
}

func (b body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && b.file.err != nil {
		err = b.file.err
	}
	return n, err
}

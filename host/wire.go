package host

import (
	"encoding/json"
	"net/http"

	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// What joiner and the host that admits it say to each other, as JSON, on the latter's cluster listener.
const (
	challengePath = "/cluster/v1/join/challenge"
	admitPath     = "/cluster/v1/join/admit"
	abortPath     = "/cluster/v1/join/abort"
	boundaryPath  = "/cluster/v1/join/boundary"
	segmentPath   = "/cluster/v1/join/segment"
	maxJoinBody   = 1 << 20
	maxAnswer     = 17 << 20 // a segment of the log is the longest
)

// challenge is asked for by a joiner that has no token: it proves that it holds the cluster's root key.
type challenge struct {
	Nonce []byte `json:"nonce"`
}

// joinRequest asks for admission. It carries either Secret, of a token, or Nonce and Proof; one that asks for a re-clone may carry
// none, and shows the certificate by which it is known instead.
type joinRequest struct {
	Kind   JoinKind `json:"kind,omitempty"`
	Secret string   `json:"secret,omitempty"`
	Nonce  []byte   `json:"nonce,omitempty"`
	Proof  []byte   `json:"proof,omitempty"`

	Name     string   `json:"name,omitempty"`    // given by the operator; the active finds one otherwise
	Address  string   `json:"address,omitempty"` // likewise
	Hostname string   `json:"hostname"`
	Hosts    []string `json:"hosts,omitempty"` // further names for the certificates
	// Ports that differ from the active's; 0 otherwise.
	Port        int `json:"port,omitempty"`
	ClusterPort int `json:"cluster_port,omitempty"`
	DBPort      int `json:"db_port,omitempty"`

	Root        string `json:"root"`       // the public half of its root key
	ClusterCSR  []byte `json:"csr"`        // PEM
	PublicCSR   []byte `json:"public_csr"` // PEM
	Incarnation string `json:"incarnation"`
	PostgreSQL  int    `json:"postgresql"` // major version
	// Confirmed is how far this host's data was confirmed that is to be replaced, and Had its log, where it was a passive. nil: that can
	// not be read.
	Confirmed postgres.LSN          `json:"confirmed,omitempty"`
	Had       *replication.Boundary `json:"had,omitempty"`
}

// joinAnswer is what an admitted joiner needs.
type joinAnswer struct {
	Name               string                `json:"name"`    // the joiner's
	Address            string                `json:"address"` // likewise
	ClusterCertificate []byte                `json:"cluster_certificate"`
	PublicCertificate  []byte                `json:"public_certificate"`
	Files              []bundleFile          `json:"files"`
	Wraps              []seal.Wrap           `json:"wraps"`
	Active             replication.Peer      `json:"active"` // who admits; in a restore the survivor
	Admission          replication.Admission `json:"admission"`
}

// joinerRequest is what a host that was admitted sends from then on: that it will not come, or, in a restore, the question where the log
// ends. The certificate that it was given is shown with it. An abort without one carries the secret of the token that the host with that
// root key has used; an abort names the copy that it is about.
type joinerRequest struct {
	Incarnation string `json:"incarnation"`
	Secret      string `json:"secret,omitempty"`
	Root        string `json:"root,omitempty"` // fingerprint
}

// refusal is the body of every answer that is not 200.
type refusal struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"internal error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

package main

import (
	"net/http"

	"keytrustee/kms"
	"keytrustee/kms/rest"
	"keytrustee/replication"
)

// cluster tells rest where writes are done.
type cluster struct {
	monitor   *replication.Monitor
	transport http.RoundTripper // to the peer's cluster listener
}

// Route is this host if it is the active, whatever its gate says: Service refuses with the gate's own words. A passive
// forwards for as long as nothing is known against it.
func (c cluster) Route() rest.Route {
	state := c.monitor.State()
	if state.Duty == replication.Active {
		return rest.Route{Here: true}
	}
	var route rest.Route
	if state.Peer != nil {
		route.ActiveURL = state.Peer.URL
	}
	switch closed := c.monitor.Closed(); {
	case closed == nil: // it has become the active
		return rest.Route{Here: true}
	case state.Peer != nil && closed.Reason == replication.Starting:
		route.Transport = c.transport
	default:
		route.Refusal = refusal(closed)
		if closed.Reason == replication.Joining { // this host is the joiner; the active may well be open
			route.Refusal.Remedy = kms.ElsewherePeer
		}
	}
	return route
}

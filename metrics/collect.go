package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"keytrustee/replication"
)

const prefix = "keytrustee_"

// Exporter is this host's metrics. It may be used concurrently.
type Exporter struct {
	report   func() replication.Report
	registry *prometheus.Registry
	changes  *prometheus.CounterVec
}

// The values of gate_changes_total's label that are no Reason.
const (
	opened  = "open"
	inOrder = "in_order" // of a passive
)

// New returns an Exporter that asks report at each scrape; Count needs no report.
func New(report func() replication.Report) *Exporter {
	e := &Exporter{report: report, registry: prometheus.NewRegistry(), changes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "gate_changes_total", Help: "Changes of the gate, by what it became: open, or the reason why it is shut; at a passive in_order, or why not."}, []string{"reason"})}
	for _, reason := range replication.Reasons() { // from the start, so that a first change is an increase
		e.changes.WithLabelValues(string(reason))
	}
	e.changes.WithLabelValues(opened)
	e.changes.WithLabelValues(inOrder)
	e.registry.MustRegister(e, e.changes, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return e
}

// Count takes note of a change of the gate.
func (e *Exporter) Count(n replication.Notice) {
	if n.Kind != replication.GateNotice {
		return
	}
	became := string(n.Reason)
	switch {
	case n.Open:
		became = opened
	case n.Reason == "":
		became = inOrder
	}
	e.changes.WithLabelValues(became).Inc()
}

// Describe is for prometheus.
func (e *Exporter) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range table {
		ch <- m.desc()
	}
}

// Collect is for prometheus. Every value is of the same Report.
func (e *Exporter) Collect(ch chan<- prometheus.Metric) {
	r := e.report()
	for _, m := range table {
		desc := m.desc()
		m.read(r, func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(desc, m.kind, value, labels...)
		})
	}
}

func (m metric) desc() *prometheus.Desc {
	return prometheus.NewDesc(prefix+m.name, m.help, m.labels, nil)
}

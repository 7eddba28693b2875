package pressure

import "github.com/prometheus/client_golang/prometheus"

// metrics are the states at the moment when they are asked for.
type metrics struct{ s *Service }

func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("assay_pressure_"+name, help, labels, nil)
}

// Describe sends nothing: what is collected describes itself.
func (m metrics) Describe(chan<- *prometheus.Desc) {}

// Collect sends the states.
func (m metrics) Collect(to chan<- prometheus.Metric) {
	all := m.s.All()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	asked := described("asked_bytes", "Bytes that were asked for.", "resource")
	held := described("held_bytes", "Bytes that are taken.", "resource")
	limit := described("limit_bytes", "Bytes that could be taken.", "resource")
	working := described("working", "1 while a request is under way.", "resource")
	short := described("short", "1 while less is held than was asked for, for a reason that the state tells.", "resource")
	for name, st := range map[string]State{"memory": all.Memory, "disk": all.Disk.State} {
		gauge(asked, float64(st.Asked), name)
		gauge(held, float64(st.Held), name)
		gauge(limit, float64(st.Limit), name)
		gauge(working, one(st.Working), name)
		gauge(short, one(st.Reason != ""), name)
	}
	gauge(described("inodes", "Empty files that are held."), float64(all.Disk.Inodes))
	gauge(described("asked_cores", "Cores' worth of CPU time that were asked for."), all.CPU.Asked)
	gauge(described("used_cores", "Cores' worth of CPU time that were used, on average of the last seconds."), all.CPU.Held)
	gauge(described("limit_cores", "Cores' worth of CPU time that there are."), all.CPU.Limit)
	to <- prometheus.MustNewConstMetric(described("cpu_seconds_total", "CPU time that was used."), prometheus.CounterValue, all.CPU.Seconds)
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

package fuzz

import (
	"reflect"
	"strconv"

	"github.com/seed-1b600011/assay/scenario"
)

// Values that any option of a type can be given where its domain does not say
// otherwise. They are small: a run is to take seconds.
const (
	wholeSpan = 16 // above the least
	sizeMax   = 1 << 20
)

// drawn is a value of an option by its type and tags; empty: it cannot be drawn.
func drawn(d Draw, o scenario.Option) string {
	if o.Enum != nil {
		return d.One("value", o.Enum...)
	}
	t := o.Type
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[scenario.Size](), reflect.TypeFor[scenario.Range[scenario.Size]]():
		return drawnSize(d, o)
	case reflect.TypeFor[scenario.Duration](), reflect.TypeFor[scenario.Range[scenario.Duration]]():
		return d.Milliseconds("value", 1, 300)
	}
	switch t.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(d.Chance("value", 0.5))
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		lo := int64(bound(o.Min, 0))
		return d.Number("value", lo, int64(bound(o.Max, float64(lo+wholeSpan))))
	case reflect.Float64:
		lo, hi := bound(o.Min, 0), bound(o.Max, 1)
		return strconv.FormatFloat(lo+(hi-lo)*d.In("value").seed.Float(0), 'g', 3, 64)
	}
	return ""
}

// bound is a bound of an option, or what stands for none; no bound is wider than that.
func bound(b *float64, instead float64) float64 {
	if b == nil || instead > 0 && *b > instead {
		return instead
	}
	return *b
}

func drawnSize(d Draw, o scenario.Option) string {
	lo, hi := int64(bound(o.Min, 0)), int64(bound(o.Max, sizeMax))
	size := int64(1) << d.Between("value", 0, 20)
	return scenario.Size(min(max(size, lo), hi)).String()
}

// options draws options of a word. Each is left to its default more often than
// not, so that a scenario says little and shrinks soon.
func (m *Domain) options(d Draw, word string, all []scenario.Option, s *Scenario) Options {
	var some Options
	for _, o := range all {
		place := d.In(o.Name)
		v, special := m.Values[word+"."+o.Name]
		if !special {
			v, special = m.Values[o.Name]
		}
		if !v.Always && !o.Required && !place.Chance("given", given) {
			continue
		}
		if special {
			some.Add(o.Name, v.Draw(place, s))
		} else {
			some.Add(o.Name, drawn(place, o))
		}
	}
	return some
}

const given = 0.3 // of all options

package geoip

import (
	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"

	"github.com/flowbeam/flowbeam/flow"
)

// entry is a decoded database record, never modified once it is cached. Both schemas are
// read by one pass, which takes each field by its name and by the kind of its value:
//
//	MaxMind (GeoIP2 and GeoLite2 City, Country, ASN)   flat (ip-location-db)
//	continent.code                                     -
//	country.iso_code                                   country_code
//	subdivisions[0].iso_code or .names.en              state1
//	city.names.en                                      city
//	location.time_zone, .latitude, .longitude          timezone, latitude, longitude
//	autonomous_system_number, ..._organization         the same
//
// Sources: https://dev.maxmind.com/geoip/docs/databases, https://github.com/sapics/ip-location-db
type entry struct {
	geo   flow.Geo
	asn   flow.Int
	asOrg string
}

func (e *entry) hasPlace() bool { return e.geo != flow.Geo{} }
func (e *entry) hasASN() bool   { return e.asn.OK || e.asOrg != "" }

type cursor = mmdbdata.Cursor

// UnmarshalMaxMindDBCursor makes maxminddb decode without reflection.
func (e *entry) UnmarshalMaxMindDBCursor(c cursor) (cursor, error) {
	return eachField(c, func(key []byte, v cursor, kind mmdbdata.Kind) (cursor, error) {
		switch string(key) {
		case "country_code":
			return readString(v, kind, &e.geo.Country)
		case "state1":
			return readString(v, kind, &e.geo.Region)
		case "timezone":
			return readString(v, kind, &e.geo.TimeZone)
		case "latitude":
			return readFloat(v, kind, &e.geo.Latitude)
		case "longitude":
			return readFloat(v, kind, &e.geo.Longitude)
		case "city": // a name in the flat schema, an object in MaxMind's
			if kind == mmdbdata.KindString {
				return readString(v, kind, &e.geo.City)
			}
			return readName(v, kind, "", &e.geo.City)
		case "continent":
			return readName(v, kind, "code", &e.geo.Continent)
		case "country":
			return readName(v, kind, "iso_code", &e.geo.Country)
		case "subdivisions":
			return readFirst(v, kind, &e.geo.Region)
		case "location":
			return eachField(v, func(key []byte, v cursor, kind mmdbdata.Kind) (cursor, error) {
				switch string(key) {
				case "latitude":
					return readFloat(v, kind, &e.geo.Latitude)
				case "longitude":
					return readFloat(v, kind, &e.geo.Longitude)
				case "time_zone":
					return readString(v, kind, &e.geo.TimeZone)
				}
				return v.Skip()
			})
		case "autonomous_system_number":
			return readInt(v, kind, &e.asn)
		case "autonomous_system_organization":
			return readString(v, kind, &e.asOrg)
		}
		return v.Skip()
	})
}

// eachField walks a map. f returns the cursor behind the value, by reading or skipping it.
// A value that is no map has no fields.
func eachField(c cursor, f func(key []byte, v cursor, kind mmdbdata.Kind) (cursor, error)) (cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return c, err
	}
	if kind != mmdbdata.KindMap {
		return c.Skip()
	}
	m, err := c.Map()
	if err != nil {
		return c, err
	}
	var after cursor
	for {
		key, v, more := m.Next(after)
		if !more {
			return m.End()
		}
		kind, err := v.Kind()
		if err != nil {
			return c, err
		}
		if after, err = f(key, v, kind); err != nil {
			return c, err
		}
	}
}

// readName reads code, or the English name where there is no such code, of an object such
// as {"iso_code": "BE", "names": {"en": "Berlin"}}.
func readName(c cursor, kind mmdbdata.Kind, code string, out *string) (cursor, error) {
	if kind != mmdbdata.KindMap {
		return c.Skip()
	}
	return eachField(c, func(key []byte, v cursor, kind mmdbdata.Kind) (cursor, error) {
		switch {
		case code != "" && string(key) == code:
			return readString(v, kind, out)
		case *out == "" && string(key) == "names" && code != "code":
			return eachField(v, func(lang []byte, v cursor, kind mmdbdata.Kind) (cursor, error) {
				if string(lang) == "en" {
					return readString(v, kind, out)
				}
				return v.Skip()
			})
		}
		return v.Skip()
	})
}

// readFirst reads the first, largest subdivision of a list.
func readFirst(c cursor, kind mmdbdata.Kind, out *string) (cursor, error) {
	if kind != mmdbdata.KindSlice {
		return c.Skip()
	}
	list, err := c.Slice()
	if err != nil {
		return c, err
	}
	var after cursor
	for {
		i, v, more := list.Next(after)
		if !more {
			return list.End()
		}
		if i > 0 {
			after, err = v.Skip()
		} else if kind, kerr := v.Kind(); kerr != nil {
			err = kerr
		} else {
			after, err = readName(v, kind, "iso_code", out)
		}
		if err != nil {
			return c, err
		}
	}
}

func readString(c cursor, kind mmdbdata.Kind, out *string) (cursor, error) {
	if kind != mmdbdata.KindString {
		return c.Skip()
	}
	s, next, err := c.ReadString()
	*out = s
	return next, err
}

func readFloat(c cursor, kind mmdbdata.Kind, out *flow.Float) (cursor, error) {
	if kind != mmdbdata.KindFloat64 && kind != mmdbdata.KindFloat32 {
		return c.Skip()
	}
	v, next, err := c.ReadFloat()
	*out = flow.F(v)
	return next, err
}

func readInt(c cursor, kind mmdbdata.Kind, out *flow.Int) (cursor, error) {
	switch kind {
	case mmdbdata.KindUint16, mmdbdata.KindUint32, mmdbdata.KindUint64:
	default:
		return c.Skip()
	}
	v, next, err := c.ReadUint()
	*out = flow.N(int64(v))
	return next, err
}

package loadgen

import (
	"encoding/binary"

	"github.com/flowbeam/flowbeam/flow"
)

// ipv6Percent of the servers have IPv6 addresses.
const ipv6Percent = 10

// publicIPv6 are first 32 bits of blocks that the registries hand out from.
var publicIPv6 = []uint32{0x24000000, 0x26000000, 0x28000000, 0x2a000000, 0x2c000000}

// server is the address of the k-th server.
func (c *Config) server(k uint64) flow.IP {
	r := at(c.Seed, purposeServer, k)
	six := r.percent(ipv6Percent)
	if c.Addresses == Documentation {
		if six {
			return ip6(0x20010db8, 1+r.n(2), r.n(1<<16))
		}
		net := [...]uint32{192<<24 | 2<<8, 198<<24 | 51<<16 | 100<<8, 203<<24 | 113<<8}[r.n(3)]
		return ip4(net | uint32(r.between(1, 255)))
	}
	if six {
		return ip6(publicIPv6[r.n(uint64(len(publicIPv6)))]|uint32(r.n(1<<20)), r.n(1<<16), r.next())
	}
	return publicIPv4(&r)
}

// client is the address of a user's device in the data center of that index.
func (c *Config) client(dc int, user uint64) flow.IP {
	if c.Clients == Public {
		r := at(c.Seed, purposeClient, user)
		return publicIPv4(&r)
	}
	if user%8 == 7 { // behind the provider's NAT (RFC 6598)
		return ip4(100<<24 | 64<<16 | uint32(user/8+256*uint64(dc))&(1<<22-1))
	}
	return ip4(10<<24 | uint32(dc+1)<<16 | uint32(user+1)&0xffff)
}

func ip4(v uint32) flow.IP {
	ip := flow.IP{Len: 4}
	binary.BigEndian.PutUint32(ip.B[:], v)
	return ip
}

// ip6 has 32 bits of network, then 16, and the host.
func ip6(network uint32, subnet, host uint64) flow.IP {
	ip := flow.IP{Len: 16}
	binary.BigEndian.PutUint32(ip.B[:], network)
	binary.BigEndian.PutUint16(ip.B[4:], uint16(subnet))
	binary.BigEndian.PutUint64(ip.B[8:], host)
	return ip
}

// publicIPv4 is a globally reachable address (IANA's special-purpose registry, RFC 6890).
func publicIPv4(r *random) flow.IP {
	for {
		v := uint32(r.next())
		if !special(v) {
			return ip4(v)
		}
	}
}

func special(v uint32) bool {
	switch v >> 24 {
	case 0, 10, 127:
		return true
	case 100:
		return v>>22 == 100<<2|1 // 100.64.0.0/10
	case 169:
		return v>>16 == 169<<8|254
	case 172:
		return v>>20 == 172<<4|1
	case 192:
		return v>>16 == 192<<8|168 || v>>16 == 192<<8 || v>>8 == 192<<16|88<<8|99
	case 198:
		return v>>17 == 198<<7|9 || v>>8 == 198<<16|51<<8|100 // 198.18.0.0/15, 198.51.100.0/24
	case 203:
		return v>>8 == 203<<16|0<<8|113
	}
	return v>>24 >= 224
}

package collect

import "testing"

func TestAddressesToListenOn(t *testing.T) {
	for address, ok := range map[string]bool{
		":2055": true, "192.0.2.1:2055": true, "[2001:db8::1]:2055": true, "0.0.0.0:0": true, "[::]:6343": true,
		"2055": false, "": false, "router.example:2055": false, ":65536": false, ":netflow": false, "192.0.2.1": false,
	} {
		if err := checkListen(address); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestASocketIsEmptyOrNot(t *testing.T) {
	conns, _, err := open("127.0.0.1:0", 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	conn := conns[0]
	defer conn.Close()
	exporter := client(t, local(conn))
	for _, b := range [][]byte{[]byte("a"), nil} { // a datagram may have no bytes
		if !empty(conn) {
			t.Fatal("not empty")
		}
		send(t, exporter, b)
		if empty(conn) || empty(conn) {
			t.Fatalf("empty with %q", b)
		}
		if _, err := conn.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
}

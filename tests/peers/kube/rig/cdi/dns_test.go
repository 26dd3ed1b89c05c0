package cdi

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func services(_ context.Context, namespace, service string) ([]net.IP, bool, error) {
	switch namespace + "/" + service {
	case "migrated/cdi-upload-app01":
		return []net.IP{net.IPv4(127, 20, 0, 7), net.IPv4(127, 20, 0, 9)}, true, nil
	case "migrated/not-ready":
		return nil, true, nil
	case "migrated/broken":
		return nil, false, errors.New("no API server")
	}
	return nil, false, nil
}

func question(t *testing.T, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	message := dnsmessage.Message{
		Header: dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{
			{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET},
		},
	}
	packed, err := message.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func TestAnswerDNS(t *testing.T) {
	const domain = ".svc.cluster.local."
	for _, c := range []struct {
		name      string
		kind      dnsmessage.Type
		rcode     dnsmessage.RCode
		addresses []string
	}{
		{"cdi-upload-app01.migrated" + domain, dnsmessage.TypeA, dnsmessage.RCodeSuccess, []string{"127.20.0.7", "127.20.0.9"}},
		{"CDI-Upload-App01.migrated" + domain, dnsmessage.TypeA, dnsmessage.RCodeSuccess, []string{"127.20.0.7", "127.20.0.9"}},
		{"cdi-upload-app01.migrated" + domain, dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, nil},
		{"not-ready.migrated" + domain, dnsmessage.TypeA, dnsmessage.RCodeSuccess, nil},
		{"cdi-upload-app01.other" + domain, dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"cdi-upload-app01.migrated.svc.", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"cdi-upload-app01.migrated.svc.cdi" + domain, dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"cdi-upload-app01" + domain, dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"example.com.", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"broken.migrated" + domain, dnsmessage.TypeA, dnsmessage.RCodeServerFailure, nil},
	} {
		packed, err := answerDNS(context.Background(), question(t, c.name, c.kind), services)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var answer dnsmessage.Message
		if err := answer.Unpack(packed); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var addresses []string
		for _, resource := range answer.Answers {
			body := resource.Body.(*dnsmessage.AResource)
			addresses = append(addresses, net.IP(body.A[:]).String())
		}
		if answer.ID != 4711 || !answer.Response || answer.RCode != c.rcode || !slices.Equal(addresses, c.addresses) {
			t.Errorf("%s: %v %v, want %v %v", c.name, answer.RCode, addresses, c.rcode, c.addresses)
		}
	}
}

func TestAnswerDNSIgnoresWhatIsNoQuery(t *testing.T) {
	answered, err := answerDNS(context.Background(), question(t, "example.com.", dnsmessage.TypeA), services)
	if err != nil {
		t.Fatal(err)
	}
	for name, packet := range map[string][]byte{
		"nothing": nil, "noise": {1, 2, 3}, "a response": answered,
		"cut": question(t, "example.com.", dnsmessage.TypeA)[:14],
	} {
		if _, err := answerDNS(context.Background(), packet, services); err == nil {
			t.Errorf("%s was answered", name)
		}
	}
}

// The resolver of Go programs finds a service by the name that CDI's proxy dials.
func TestServeDNSForGoPrograms(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- serveDNS(ctx, conn, services) }()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	limited, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	addresses, err := resolver.LookupHost(limited, "cdi-upload-app01.migrated.svc.cluster.local.")
	slices.Sort(addresses)
	if err != nil || !slices.Equal(addresses, []string{"127.20.0.7", "127.20.0.9"}) {
		t.Errorf("%v %v", addresses, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

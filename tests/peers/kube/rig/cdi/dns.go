package cdi

import (
	"context"
	"errors"
	"net"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const clusterDomain = ".svc.cluster.local."

// resolvConf is what a kubelet gives to pods of this namespace, with the server at nameserver.
func resolvConf(namespace, nameserver string) string {
	return "nameserver " + nameserver + "\n" +
		"search " + namespace + ".svc.cluster.local svc.cluster.local cluster.local\n" +
		"options ndots:5\n"
}

// lookupFunc gives a service's IPv4 addresses, and whether there is such a service.
type lookupFunc func(ctx context.Context, namespace, service string) ([]net.IP, bool, error)

// serveDNS answers for the services of the cluster until ctx ends, as the cluster's DNS would, and
// knows no other names. It owns the connection.
func serveDNS(ctx context.Context, conn net.PacketConn, lookup lookupFunc) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	packet := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(packet)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		query := append([]byte(nil), packet[:n]...)
		go func() {
			if answer, err := answerDNS(ctx, query, lookup); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}()
	}
}

// answerDNS fails for what is not a query, which gets no answer.
func answerDNS(ctx context.Context, query []byte, lookup lookupFunc) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	if header.Response {
		return nil, errors.New("not a query")
	}
	addresses, found, err := find(ctx, question, lookup)
	rcode := dnsmessage.RCodeSuccess
	switch {
	case err != nil:
		rcode = dnsmessage.RCodeServerFailure
	case !found:
		rcode = dnsmessage.RCodeNameError
	}
	builder := dnsmessage.NewBuilder(nil, dnsmessage.Header{
		ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired,
		RecursionAvailable: true, RCode: rcode,
	})
	builder.EnableCompression()
	if err := builder.StartQuestions(); err != nil {
		return nil, err
	}
	if err := builder.Question(question); err != nil {
		return nil, err
	}
	if err := builder.StartAnswers(); err != nil {
		return nil, err
	}
	for _, address := range addresses {
		resource := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET}
		if err := builder.AResource(resource, dnsmessage.AResource{A: [4]byte(address.To4())}); err != nil {
			return nil, err
		}
	}
	return builder.Finish()
}

func find(ctx context.Context, question dnsmessage.Question, lookup lookupFunc) ([]net.IP, bool, error) {
	name, ours := strings.CutSuffix(strings.ToLower(question.Name.String()), clusterDomain)
	service, namespace, two := strings.Cut(name, ".")
	if !ours || !two || strings.Contains(namespace, ".") || question.Class != dnsmessage.ClassINET {
		return nil, false, nil
	}
	addresses, found, err := lookup(ctx, namespace, service)
	if question.Type != dnsmessage.TypeA {
		addresses = nil // the name is there, and has nothing of this type
	}
	return addresses, found, err
}

package libnbd

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	serverMagic    = 0x4e42444d41474943 // "NBDMAGIC"
	optionMagic    = 0x49484156454f5054 // "IHAVEOPT"
	optionReply    = 0x0003e889045565a9
	requestMagic   = 0x25609513
	simpleMagic    = 0x67446698
	structureMagic = 0x668e33ef

	flagFixedNewstyle = 1 << 0
	flagNoZeroes      = 1 << 1

	optGo              = 7
	optStructuredReply = 8
	optSetMetaContext  = 10

	repAck         = 1
	repInfo        = 3
	repMetaContext = 4
	repErrorBit    = 1 << 31
	infoExport     = 0

	cmdRead        = 0
	cmdDisconnect  = 2
	cmdBlockStatus = 7

	replyDone        = 1 << 0 // flag of the last chunk
	replyNone        = 0
	replyOffsetData  = 1
	replyOffsetHole  = 2
	replyBlockStatus = 5
	replyErrorBit    = 1 << 15

	maxRequest = 1<<32 - 512 // the length's 32 bits, in whole sectors
	maxReply   = 64 << 20    // of one chunk or option
)

var order = binary.BigEndian

func (h *Libnbd) negotiate() error {
	greeting, err := h.read(18)
	if err != nil {
		return err
	}
	flags := order.Uint16(greeting[16:])
	if order.Uint64(greeting) != serverMagic || order.Uint64(greeting[8:]) != optionMagic || flags&flagFixedNewstyle == 0 {
		return errors.New("no server of the fixed newstyle protocol")
	}
	if _, err = h.conn.Write(order.AppendUint32(nil, uint32(flags&(flagFixedNewstyle|flagNoZeroes)))); err != nil {
		return err
	}
	if err = h.option(optStructuredReply, nil, nil); err != nil {
		return err
	}
	for _, name := range h.contexts {
		if err = h.askContext(name); err != nil {
			return err
		}
	}
	return h.option(optGo, []byte{0, 0, 0, 0, 0, 0}, func(kind uint32, data []byte) error {
		if kind == repInfo && len(data) >= 10 && order.Uint16(data) == infoExport {
			h.size = order.Uint64(data[2:])
		}
		return nil
	})
}

func (h *Libnbd) askContext(name string) error {
	ask := order.AppendUint32(nil, 0) // the default export
	ask = order.AppendUint32(ask, 1)
	ask = order.AppendUint32(ask, uint32(len(name)))
	return h.option(optSetMetaContext, append(ask, name...), func(kind uint32, data []byte) error {
		if kind == repMetaContext && len(data) > 4 {
			h.names[order.Uint32(data)] = string(data[4:])
		}
		return nil
	})
}

// option sends one, and reads its replies up to the acknowledgement.
func (h *Libnbd) option(number uint32, data []byte, reply func(kind uint32, data []byte) error) error {
	ask := order.AppendUint64(nil, optionMagic)
	ask = order.AppendUint32(ask, number)
	ask = order.AppendUint32(ask, uint32(len(data)))
	if _, err := h.conn.Write(append(ask, data...)); err != nil {
		return err
	}
	for {
		head, err := h.read(20)
		if err != nil {
			return err
		}
		kind, size := order.Uint32(head[12:]), order.Uint32(head[16:])
		if order.Uint64(head) != optionReply || order.Uint32(head[8:]) != number || size > maxReply {
			return fmt.Errorf("no reply to option %d", number)
		}
		text, err := h.read(size)
		switch {
		case err != nil:
			return err
		case kind&repErrorBit != 0:
			return fmt.Errorf("option %d refused (0x%x): %s", number, kind, text)
		case kind == repAck:
			return nil
		}
		if reply != nil {
			if err := reply(kind, text); err != nil {
				return err
			}
		}
	}
}

func (h *Libnbd) request(command, flags uint16, offset uint64, length uint32) []byte {
	h.cookie++
	ask := order.AppendUint32(nil, requestMagic)
	ask = order.AppendUint16(ask, flags)
	ask = order.AppendUint16(ask, command)
	ask = order.AppendUint64(ask, h.cookie)
	ask = order.AppendUint64(ask, offset)
	return order.AppendUint32(ask, length)
}

// command sends a request, and reads the chunks of its reply up to the last one.
func (h *Libnbd) command(command, flags uint16, offset uint64, length uint32, chunk func(kind uint16, data []byte) error) error {
	if h.conn == nil {
		return errNotConnected
	}
	if _, err := h.conn.Write(h.request(command, flags, offset, length)); err != nil {
		return err
	}
	var refused error
	for {
		head, err := h.read(4)
		if err != nil {
			return err
		}
		if magic := order.Uint32(head); magic != structureMagic {
			return fmt.Errorf("a reply with magic 0x%x (simple replies have 0x%x)", magic, simpleMagic)
		}
		if head, err = h.read(16); err != nil {
			return err
		}
		last, kind, size := order.Uint16(head)&replyDone != 0, order.Uint16(head[2:]), order.Uint32(head[12:])
		if order.Uint64(head[4:]) != h.cookie || size > maxReply {
			return errors.New("a reply to another request")
		}
		data, err := h.read(size)
		switch {
		case err != nil:
			return err
		case kind&replyErrorBit != 0 && len(data) >= 6:
			refused = fmt.Errorf("error %d: %s", order.Uint32(data), data[6:])
		case kind != replyNone && refused == nil:
			refused = chunk(kind, data)
		}
		if last {
			return refused
		}
	}
}

// Package expr: this file takes the place of nftables' own queue.go while the lab builds
// kube-network-policies.
//
// Kernels without nftables' queue expression (CONFIG_NFT_QUEUE) still have iptables' NFQUEUE
// target, which nftables can call: it is what `iptables -j NFQUEUE` becomes, and kube-proxy
// already needs that bridge. Both hand a packet to the same queue, with the same fields.
package expr

import (
	"encoding/binary"
	"errors"

	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// QueueFlag says what becomes of packets that nobody listens for, or how queues are shared.
type QueueFlag uint16

// The values are the same for the expression and for the target.
const (
	QueueFlagBypass QueueFlag = unix.NFT_QUEUE_FLAG_BYPASS
	QueueFlagFanout QueueFlag = unix.NFT_QUEUE_FLAG_CPU_FANOUT
)

// The revision of the target that knows all three fields; its structure ends on eight bytes.
const (
	queueTarget   = "NFQUEUE"
	queueRevision = 3
	queueSize     = 8
)

// Queue hands packets to a program.
type Queue struct {
	Num   uint16
	Total uint16
	Flag  QueueFlag
}

func (e *Queue) target() *Target {
	info := make(xt.Unknown, queueSize)
	binary.NativeEndian.PutUint16(info[0:], e.Num)
	binary.NativeEndian.PutUint16(info[2:], max(e.Total, 1))
	binary.NativeEndian.PutUint16(info[4:], uint16(e.Flag))
	return &Target{Name: queueTarget, Rev: queueRevision, Info: &info}
}

func (e *Queue) marshal(family byte) ([]byte, error) {
	return e.target().marshal(family)
}

func (e *Queue) marshalData(family byte) ([]byte, error) {
	return e.target().marshalData(family)
}

// The kernel returns a rule as it was written: a target. Nothing asks for one as a Queue.
func (e *Queue) unmarshal(byte, []byte) error {
	return errors.New("a queue is written as the target NFQUEUE, and read as one")
}

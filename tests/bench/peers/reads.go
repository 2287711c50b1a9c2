// A closed loop of reads on an etcd cluster: linear ones at a member that does not lead, or serial ones at all members.
// Prints one figure as the peers' own programs do. One connection for every 64 clients, as theirs.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.uber.org/zap"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func connect(to string) *clientv3.Client {
	quiet := zap.NewProductionConfig()
	quiet.Level = zap.NewAtomicLevelAt(zap.FatalLevel)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{to}, DialTimeout: 10 * time.Second, LogConfig: &quiet})
	check(err)
	return c
}

func main() {
	endpoints := flag.String("endpoints", "", "client addresses of the members")
	seconds := flag.Float64("seconds", 3, "how long")
	clients := flag.Int("clients", 64, "how many at once")
	serial := flag.Bool("serial", false, "as of what the asked member has")
	flag.Parse()
	var at []string
	for _, e := range strings.Split(*endpoints, ",") {
		c := connect(e)
		var st *clientv3.StatusResponse
		for try := 0; ; try++ {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			found, err := c.Status(ctx, e)
			cancel()
			if err == nil && found.Leader != 0 {
				st = found
				break
			}
			if try == 100 {
				check(fmt.Errorf("no leader"))
			}
			time.Sleep(100 * time.Millisecond)
		}
		if *serial || (st.Leader != st.Header.MemberId && len(at) == 0) {
			at = append(at, e)
		}
		c.Close()
	}
	var conns []*clientv3.Client
	for i := 0; i < len(at)*((*clients+64*len(at)-1)/(64*len(at))); i++ {
		conns = append(conns, connect(at[i%len(at)]))
	}
	var options []clientv3.OpOption
	if *serial {
		options = append(options, clientv3.WithSerializable())
	}
	var next, done uint64
	var wg sync.WaitGroup
	start := time.Now()
	until := start.Add(time.Duration(*seconds * float64(time.Second)))
	for i := 0; i < *clients; i++ {
		kv := conns[i%len(conns)]
		wg.Add(1)
		go func() {
			defer wg.Done()
			key := make([]byte, 8)
			for time.Now().Before(until) {
				binary.BigEndian.PutUint64(key, atomic.AddUint64(&next, 1)%10000)
				_, err := kv.Get(context.Background(), string(key), options...)
				check(err)
				atomic.AddUint64(&done, 1)
			}
		}()
	}
	wg.Wait()
	rate := float64(done) / time.Since(start).Seconds()
	fmt.Printf("etcd\treads\t%.0f\treads/s\t%.0f\t%.0f\t1\n", rate, rate, rate)
}

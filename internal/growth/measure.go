package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	warm   = 300 * time.Millisecond
	length = time.Second // of a measurement

	active = 64 // clients that send, beside idle ones
)

// measureAll measures all scenarios.
func measureAll(root string, rounds, mostIdle int, sessions bool) (r Results, err error) {
	conns, err := raiseFileLimit()
	if err != nil {
		return r, err
	}
	if conns < mostIdle {
		log.Printf("open files are limited (ulimit -Hn): at most %d connections", conns)
		mostIdle = conns
	}
	dir, err := os.MkdirTemp("", "growth")
	if err != nil {
		return r, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, err := buildServer(root, dir)
	if err != nil {
		return r, err
	}
	r = Results{Date: time.Now().Format(time.DateOnly), Rounds: rounds, Load: load()}
	for _, scenario := range []struct {
		name string
		run  func() error
	}{
		{"events", func() (err error) { r.Events, err = measureEvents(binary, rounds); return err }},
		{"events beside idle connections", func() (err error) { r.Idle, err = measureBesideIdle(binary, rounds); return err }},
		{"memory", func() (err error) { r.Memory, err = measureMemory(binary, mostIdle); return err }},
		{"rooms", func() (err error) { r.Rooms, err = measureRooms(binary, rounds); return err }},
		{"a slow reader", func() (err error) { r.Slow, err = measureSlowReader(binary, rounds); return err }},
		{"Redis", func() (err error) {
			if sessions {
				r.OnRedis, err = measureOnRedis(binary, rounds)
			}
			return err
		}},
	} {
		log.Print(scenario.name)
		if err := scenario.run(); err != nil {
			return r, fmt.Errorf("%s: %w", scenario.name, err)
		}
	}
	r.Load += ", " + load()
	return r, nil
}

// raiseFileLimit allows as many open files as the system lets this process and its servers have,
// and returns the number of connections that they are enough for.
func raiseFileLimit() (conns int, err error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	const others = 500
	wanted := syscall.Rlimit{Cur: 50_000 + others, Max: max(l.Max, 50_000+others)}
	if l.Max >= wanted.Cur || syscall.Setrlimit(syscall.RLIMIT_NOFILE, &wanted) != nil {
		l.Cur = l.Max
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
		return int(l.Max) - others, err
	}
	return 50_000, nil
}

// load returns the machine's load average of one minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// measureEvents measures echoes of 1 to 10,000 clients, each with one under way.
func measureEvents(binary string, rounds int) ([]Point, error) {
	return inRounds(rounds, []int{1, 10, 100, 1000, 10_000}, func(n int) (Point, error) {
		return withClients(binary, n, func(s *server, clients []*client) (Point, error) {
			return run(s, ask(clients, `4270["echo",1]`))
		})
	})
}

// withClients calls measure with a server of its own, and n clients.
func withClients(binary string, n int, measure func(s *server, clients []*client) (Point, error)) (Point, error) {
	s, err := startServer(binary, "0")
	if err != nil {
		return Point{}, err
	}
	defer s.stop()
	clients, err := connectAll(s.addr, n)
	if err != nil {
		return Point{}, err
	}
	defer closeAll(clients)
	return measure(s, clients)
}

// measureBesideIdle measures echoes of 64 clients beside idle ones, each time after those of 64
// clients of a server without idle ones.
func measureBesideIdle(binary string, rounds int) ([]Point, error) {
	alone, err := startServer(binary, "0")
	if err != nil {
		return nil, err
	}
	defer alone.stop()
	few, err := connectAll(alone.addr, active)
	if err != nil {
		return nil, err
	}
	defer closeAll(few)
	return inRounds(rounds, []int{0, 1000, 3000, 10_000}, func(n int) (Point, error) {
		return withClients(binary, n, func(s *server, _ []*client) (Point, error) {
			clients, err := connectAll(s.addr, active)
			if err != nil {
				return Point{}, err
			}
			defer closeAll(clients)
			var ratios []float64
			var p Point
			for range 3 {
				base, err := run(alone, ask(few, `4270["echo",1]`))
				if err != nil {
					return p, err
				}
				if p, err = run(s, ask(clients, `4270["echo",1]`)); err != nil {
					return p, err
				}
				ratios = append(ratios, p.Micros/base.Micros)
			}
			p.Ratio = median(ratios)
			return p, nil
		})
	})
}

// measureMemory measures the resident memory of servers with idle connections, each with a
// session, 4 s after the last one has come.
func measureMemory(binary string, most int) (points []Point, err error) {
	for _, n := range []int{1000, 5000, 10_000, 15_000, 20_000, 30_000, 50_000} {
		if n > most {
			break
		}
		p, err := memoryOf(binary, n)
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}

func memoryOf(binary string, n int) (Point, error) {
	s, err := startServer(binary, "0")
	if err != nil {
		return Point{}, err
	}
	defer s.stop()
	before, err := s.memory()
	if err != nil {
		return Point{}, err
	}
	clients, err := connectAll(s.addr, n)
	if err != nil {
		return Point{}, err
	}
	defer closeAll(clients)
	time.Sleep(4 * time.Second)
	after, err := s.memory()
	if err != nil {
		return Point{}, err
	}
	// Those that are idle still answer.
	for _, c := range []*client{clients[0], clients[n/2], clients[n-1]} {
		if err := errors.Join(c.send(`427["echo",1]`), c.expect(`437[1]`)); err != nil {
			return Point{}, err
		}
	}
	log.Printf("%d connections: %d bytes each", n, (after-before)/n)
	return Point{X: n, Bytes: float64(after-before) / float64(n), Samples: 1}, nil
}

// measureRooms measures broadcasts to rooms of 10 to 10,000 members, one under way.
func measureRooms(binary string, rounds int) ([]Point, error) {
	return inRounds(rounds, []int{10, 100, 1000, 10_000}, func(n int) (Point, error) {
		return withClients(binary, n, func(s *server, clients []*client) (Point, error) {
			return run(s, cast(clients, 10))
		})
	})
}

// measureSlowReader measures broadcasts to a room of 1,000, beside none or one that reads nothing.
func measureSlowReader(binary string, rounds int) ([]Point, error) {
	return inRounds(rounds, []int{0, 1}, func(slow int) (Point, error) {
		return withClients(binary, 1000, func(s *server, clients []*client) (Point, error) {
			for range slow {
				c, err := connect(s.addr, "", 0)
				if err != nil {
					return Point{}, err
				}
				defer c.nc.Close()
				_ = c.nc.(*net.TCPConn).SetReadBuffer(2048) // it never reads: its window closes soon
			}
			return run(s, cast(clients, 2000))
		})
	})
}

// measureOnRedis measures events that reload and change a session on Redis, of 192 clients, on
// 1 to 3 nodes that share the cores.
func measureOnRedis(binary string, rounds int) ([]Point, error) {
	redis, err := startRedis()
	if err != nil {
		return nil, err
	}
	defer redis.stop()
	return inRounds(rounds, []int{1, 2, 3}, func(nodes int) (Point, error) {
		var servers []*server
		var clients []*client
		defer func() {
			closeAll(clients)
			for _, s := range servers {
				s.stop()
			}
		}()
		for range nodes {
			s, err := startServer(binary, "0,1", "STORE=redis", "REDIS_URL=redis://"+redis.addr)
			if err != nil {
				return Point{}, err
			}
			servers = append(servers, s)
			more, err := connectAll(s.addr, 192/nodes)
			if err != nil {
				return Point{}, err
			}
			clients = append(clients, more...)
		}
		return runOn(servers, ask(clients, `4270["incr",1]`))
	})
}

// inRounds measures each x in each round and returns the medians.
func inRounds(rounds int, xs []int, measure func(x int) (Point, error)) ([]Point, error) {
	all := make([][]Point, len(xs))
	for range rounds {
		for i, x := range xs {
			p, err := measure(x)
			if err != nil {
				return nil, fmt.Errorf("%d: %w", x, err)
			}
			log.Printf("%d: %.0f/s, %.2f µs CPU, p50 %.0f µs, p99 %.0f µs, ratio %.3f", x, p.PerSec, p.Micros, p.P50, p.P99, p.Ratio)
			all[i] = append(all[i], p)
		}
	}
	points := make([]Point, len(xs))
	for i, x := range xs {
		of := func(field func(Point) float64) float64 {
			var list []float64
			for _, p := range all[i] {
				list = append(list, field(p))
			}
			return median(list)
		}
		points[i] = Point{
			X: x, Samples: rounds,
			PerSec: of(func(p Point) float64 { return p.PerSec }), Micros: of(func(p Point) float64 { return p.Micros }),
			P50: of(func(p Point) float64 { return p.P50 }), P99: of(func(p Point) float64 { return p.P99 }),
			Ratio: of(func(p Point) float64 { return p.Ratio }),
		}
	}
	return points, nil
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// workload is what clients do until stop is set. They count what is answered, and record how
// long it took while timing is set.
type workload struct {
	clients int
	run     func(w *progress) error
}

// progress is what a workload has done.
type progress struct {
	stop, timing atomic.Bool
	n            atomic.Int64
	latencies    [][]time.Duration // of each client
}

// took counts an answer to a client.
func (w *progress) took(client int, d time.Duration) {
	w.n.Add(1)
	if w.timing.Load() {
		w.latencies[client] = append(w.latencies[client], d)
	}
}

func run(s *server, w workload) (Point, error) { return runOn([]*server{s}, w) }

// runOn runs w, and measures after a while.
func runOn(servers []*server, w workload) (Point, error) {
	p := progress{latencies: make([][]time.Duration, w.clients)}
	done := make(chan error, 1)
	go func() { done <- w.run(&p) }() // received below
	time.Sleep(warm)
	p.timing.Store(true)
	cpu0, n0, t0 := cpuOf(servers), p.n.Load(), time.Now()
	time.Sleep(length)
	cpu, count, took := cpuOf(servers)-cpu0, p.n.Load()-n0, time.Since(t0)
	p.timing.Store(false)
	p.stop.Store(true)
	if err := <-done; err != nil {
		return Point{}, err
	}
	latencies := slices.Concat(p.latencies...)
	if count == 0 || len(latencies) == 0 {
		return Point{}, errors.New("nothing was answered")
	}
	slices.Sort(latencies)
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	return Point{
		PerSec: float64(count) / took.Seconds(), Micros: micros(cpu) / float64(count),
		P50: micros(latencies[len(latencies)/2]), P99: micros(latencies[len(latencies)*99/100]),
	}, nil
}

func cpuOf(servers []*server) (sum time.Duration) {
	for _, s := range servers {
		sum += s.cpu()
	}
	return sum
}

// ask returns a load in which each client sends a packet and waits for its answer, again and
// again.
func ask(clients []*client, packet string) workload {
	return workload{len(clients), func(w *progress) error {
		errs := make([]error, len(clients))
		var wg sync.WaitGroup
		for i, c := range clients {
			wg.Go(func() {
				for !w.stop.Load() && errs[i] == nil {
					began := time.Now()
					if errs[i] = errors.Join(c.send(packet), c.expect("4370[")); errs[i] == nil {
						w.took(i, time.Since(began))
					}
				}
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}}
}

// cast returns a load in which the first client casts size bytes to all, and casts again when
// all have got it.
func cast(clients []*client, size int) workload {
	packet := `42["cast","` + strings.Repeat("x", size) + `"]`
	return workload{len(clients), func(w *progress) error {
		errs := make([]error, len(clients))
		start := time.Now()
		var began atomic.Int64
		var missing, all sync.WaitGroup
		turns := make([]chan struct{}, len(clients))
		for i, c := range clients {
			turns[i] = make(chan struct{}, 1)
			all.Go(func() {
				for range turns[i] {
					if errs[i] = errors.Join(errs[i], c.expect(`42["cast"`)); errs[i] == nil {
						w.took(i, time.Since(start)-time.Duration(began.Load()))
					}
					missing.Done()
				}
			})
		}
		var err error
		for !w.stop.Load() && err == nil {
			missing.Add(len(clients))
			for _, turn := range turns {
				turn <- struct{}{}
			}
			began.Store(int64(time.Since(start)))
			err = clients[0].send(packet)
			missing.Wait()
			err = errors.Join(err, errors.Join(errs...))
		}
		for _, turn := range turns {
			close(turn)
		}
		all.Wait()
		return err
	}}
}

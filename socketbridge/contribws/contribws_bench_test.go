package contribws_test

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/gofiber/contrib/socketio"
)

// routes serve the same listeners with this package and with the library alone.
var routes = []struct{ name, path string }{{"contribws", "/ws/a"}, {"library", "/alone"}}

func benchSite(b *testing.B, l listeners) *browser {
	s := newSite(b, options{listeners: l, setup: func(s *site) {
		s.app.Get("/alone", socketio.New(func(*socketio.Websocket) {}))
	}})
	return &browser{site: s}
}

// BenchmarkMessages measures the throughput of messages from one connection to its listeners.
func BenchmarkMessages(b *testing.B) {
	for _, route := range routes {
		b.Run(route.name, func(b *testing.B) {
			handled := make(chan struct{}, 1<<16)
			c := benchSite(b, listeners{socketio.EventMessage: func(*socketio.EventPayload) { handled <- struct{}{} }}).dial(route.path)
			c.send("warm")
			<-handled
			b.ResetTimer()
			go func() { // ends before the benchmark, which waits for all messages
				for range b.N {
					c.send("a message of typical size, about 40 bytes.")
				}
			}()
			for range b.N {
				<-handled
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
			_ = c.ws.CloseNow()
		})
	}
}

// BenchmarkSetAttribute measures SetAttribute on a connection whose client sends a message
// every 20 ms.
func BenchmarkSetAttribute(b *testing.B) {
	for _, route := range routes {
		b.Run(route.name, func(b *testing.B) {
			opened := make(chan *socketio.Websocket, 1)
			c := benchSite(b, listeners{socketio.EventConnect: sendKws(opened)}).dial(route.path)
			kws := <-opened
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() { // stopped below
				defer close(stopped)
				for tick := time.NewTicker(20 * time.Millisecond); ; {
					select {
					case <-tick.C:
						c.send("now and then")
					case <-stop:
						return
					}
				}
			}()
			time.Sleep(50 * time.Millisecond)
			b.ResetTimer()
			for i := range b.N {
				kws.SetAttribute("n", i)
			}
			b.StopTimer()
			close(stop)
			<-stopped
			_ = c.ws.CloseNow()
		})
	}
}

// BenchmarkIdle measures the cost of 1,000 idle connections, both ends together. One op is
// one second.
func BenchmarkIdle(b *testing.B) {
	const conns = 1000
	for _, route := range append(routes, struct{ name, path string }{"WebSocket", "/only"}) {
		b.Run(route.name, func(b *testing.B) {
			opened := make(chan *socketio.Websocket, conns)
			a := benchSite(b, listeners{socketio.EventConnect: sendKws(opened)})
			a.app.Get("/only", a.io.WebSocket()) // the bridge without the library
			goroutines, memory := runtime.NumGoroutine(), inUse()
			var all []*client
			for range conns {
				all = append(all, a.dial(route.path))
				if route.path != "/only" {
					<-opened
				}
			}
			for range b.N {
				before := cpu()
				time.Sleep(time.Second)
				b.ReportMetric((cpu()-before).Seconds()*1000, "cpu-ms/s")
			}
			b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/conns, "goroutines/conn")
			b.ReportMetric(float64(inUse()-memory)/conns/1024, "KiB/conn")
			for _, c := range all {
				_ = c.ws.CloseNow()
			}
		})
	}
}

// inUse returns the memory of heap and stacks after a collection.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// cpu returns the CPU time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

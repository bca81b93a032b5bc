// What Go's closures and goroutines cost on this machine: one line each, "name nanoseconds", the
// median of several calibrated runs, as closures.c prints them for ours.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"time"
)

const (
	runs     = 61
	runTime  = time.Millisecond
	branches = 8
)

var sum uint64

//go:noinline
func call(f func(uint64), value uint64) { f(value) }

var kept func(uint64)

// The closure is stored where the compiler cannot see its end, so it is made on the heap.
//
//go:noinline
func callKept(f func(uint64), value uint64) {
	kept = f
	f(value)
}

func notEscaping(rounds int) {
	to := &sum
	for i := 0; i < rounds; i++ {
		call(func(value uint64) { *to += value }, uint64(i))
	}
}

func escaping(rounds int) {
	to := &sum
	for i := 0; i < rounds; i++ {
		callKept(func(value uint64) { *to += value }, uint64(i))
	}
}

func applied(rounds int) {
	to := &sum
	f := func(value uint64) { *to += value }
	for i := 0; i < rounds; i++ {
		call(f, uint64(i))
	}
}

// Eight branches that end on the spot, and one that waits for them.
func waitGroup(rounds int) {
	for i := 0; i < rounds; i++ {
		var all sync.WaitGroup
		all.Add(branches)
		for k := 0; k < branches; k++ {
			all.Done()
		}
		all.Wait()
	}
}

func waitGroupGoroutines(rounds int) {
	for i := 0; i < rounds; i++ {
		var all sync.WaitGroup
		all.Add(branches)
		for k := 0; k < branches; k++ {
			go func() { all.Done() }()
		}
		all.Wait()
	}
}

// One way: half of a round trip between two goroutines.
func pingPong(rounds int, lock bool) {
	there, back := make(chan int), make(chan int)
	go func() {
		if lock {
			runtime.LockOSThread()
		}
		for v := range there {
			back <- v
		}
		close(back)
	}()
	if lock {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	for i := 0; i < rounds; i += 2 {
		there <- i
		<-back
	}
	close(there)
	<-back
}

func samePingPong(rounds int)   { pingPong(rounds, false) }
func acrossPingPong(rounds int) { pingPong(rounds, true) }

// Two goroutines that only give way to each other.
func gosched(rounds int) {
	done := make(chan bool)
	yield := func() {
		for i := 0; i < rounds/2; i++ {
			runtime.Gosched()
		}
		done <- true
	}
	go yield()
	go yield()
	<-done
	<-done
}

// A goroutine started, run and ended.
func started(rounds int) {
	done := make(chan bool, 1)
	for i := 0; i < rounds; i++ {
		go func() { done <- true }()
		<-done
	}
}

func measure(name string, procs int, run func(int)) {
	runtime.GOMAXPROCS(procs)
	rounds := 64
	for {
		before := time.Now()
		run(rounds)
		if time.Since(before) >= runTime {
			break
		}
		rounds *= 2
	}
	took := make([]float64, runs)
	for i := range took {
		before := time.Now()
		run(rounds)
		took[i] = float64(time.Since(before).Nanoseconds()) / float64(rounds)
	}
	sort.Float64s(took)
	fmt.Printf("%s %.2f\n", name, took[runs/2])
}

// The least of many short runs, of those that nobody else on the two CPUs came into.
func measureAcross(name string, run func(int)) {
	const rounds = 2000
	runtime.GOMAXPROCS(2)
	least := time.Hour
	for i := 0; i < 100; i++ {
		before := time.Now()
		run(rounds)
		if took := time.Since(before); took < least {
			least = took
		}
	}
	fmt.Printf("%s %.2f\n", name, float64(least.Nanoseconds())/rounds)
}

func main() {
	measure("go_applied", 1, applied)
	measure("go_not_escaping", 1, notEscaping)
	measure("go_escaping", 2, escaping)
	measure("go_wait_group", 1, waitGroup)
	measure("go_wait_group_goroutines", 1, waitGroupGoroutines)
	measure("go_ping_pong", 1, samePingPong)
	measure("go_gosched", 1, gosched)
	measure("go_started", 1, started)
	measureAcross("go_ping_pong_cpus", acrossPingPong)
}

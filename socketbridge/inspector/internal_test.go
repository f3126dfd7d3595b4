package inspector

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestM5_TheTimeLineIsBounded: by the number and by the bytes of its records; the oldest are
// dropped first.
func TestM5_TheTimeLineIsBounded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want int // records
	}{
		"small records": {"", 4 << 20 / (recordSize + 2)},
		"large records": {strings.Repeat("x", 5000), 4 << 20 / (recordSize + 2 + 603)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var line timeline
			for k := range maxRecords + 500 {
				line.add(&record{Kind: kindReport, User: fmt.Sprint(k % 90), Text: tt.text})
			}
			if line.count > maxRecords || line.bytes > maxRecordBytes || line.count < tt.want-100 {
				t.Errorf("%d records of %d bytes, want about %d", line.count, line.bytes, tt.want)
			}
			all := line.find(filter{}, maxRecords)
			if len(all) != line.count || all[0].User != fmt.Sprint((maxRecords+499)%90) {
				t.Errorf("%d records, the latest of user %s", len(all), all[0].User)
			}
		})
	}
}

func TestM5_SocketsToldOfOneChangeShareARecord(t *testing.T) {
	t.Parallel()
	var line timeline
	for k := range 40 {
		line.tell(&record{Kind: kindTold, Time: 1000, Session: "s", Text: "changed", Keys: []string{"a"}, Told: []string{fmt.Sprint(k)}})
	}
	line.tell(&record{Kind: kindTold, Time: 1000, Session: "other", Text: "changed", Keys: []string{"a"}, Told: []string{"1"}})
	line.tell(&record{Kind: kindTold, Time: 2000, Session: "s", Text: "changed", Keys: []string{"a"}, Told: []string{"1"}})
	all := line.find(filter{Session: "s"}, 10)
	if len(all) != 2 || len(all[1].Told) != maxTold || all[1].More != 40-maxTold {
		t.Errorf("records %+v", all)
	}
}

func TestN8_Histogram(t *testing.T) {
	t.Parallel()
	last := -1
	for us := int64(0); us < 200_000_000; us += 1 + us/50 {
		b := bucketOf(time.Duration(us) * time.Microsecond)
		if b < last || b > last+1 || b >= buckets {
			t.Fatalf("%d µs is in bucket %d, after %d", us, b, last)
		}
		last = b
	}
	if last != buckets-1 {
		t.Errorf("the last bucket is %d", last)
	}
}

// TestN8_ListsAreCutWhereTheSocketsAre: a page gets 50 rows however many there are.
func TestN8_ListsAreCutWhereTheSocketsAre(t *testing.T) {
	t.Parallel()
	counts := map[string]int{}
	for k := range 1000 {
		counts[fmt.Sprintf("%04d", k)] = 1
	}
	if got := firstPage(&query{After: "0099"}, counts); len(got) != pageSize || got[0] != "0100" || got[49] != "0149" {
		t.Errorf("page %v", got)
	}
	a, b := answer{Node: "a"}, answer{Node: "b"}
	for k := range pageSize {
		a.Users = append(a.Users, userRow{fmt.Sprintf("%04d", 2*k), 1, []string{"a"}})
		b.Users = append(b.Users, userRow{fmt.Sprintf("%04d", 3*k), 1, []string{"b"}})
	}
	var all answer
	all.merge(&a)
	all.merge(&b)
	if len(all.Users) != pageSize || all.Users[0].Sockets != 2 || len(all.Users[0].Nodes) != 2 || all.Users[1].User != "0002" {
		t.Errorf("merged %v", all.Users)
	}
}

// TestN8_PassesAreBounded: a visitor that asks for passes without end gets a refusal, until they
// have expired.
func TestN8_PassesAreBounded(t *testing.T) {
	t.Parallel()
	var p passes
	for range maxPasses {
		if _, ok := p.issue("root"); !ok {
			t.Fatal("refused too early")
		}
	}
	if _, ok := p.issue("root"); ok {
		t.Error("a pass too many")
	}
	for hash := range p.all {
		p.all[hash] = pass{"root", time.Now().Add(-time.Second)}
		if _, ok := p.redeem(hash); ok {
			t.Error("a pass works after its time")
		}
		break
	}
}

package siopacket

import "testing"

func TestAppendPayload(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		header      Header
		attachments int
		want        string
	}{
		{"event", Header{Type: Event}, 0, `x2["e"]`},
		{"event of a namespace with id", Header{Type: Event, Namespace: "/a", ID: 7, HasID: true}, 0, `x2/a,7["e"]`},
		{"binary event", Header{Type: Event, Namespace: "/"}, 1, `x51-["e"]`},
		{"binary event of a namespace with id", Header{Type: Event, Namespace: "/a", ID: 7, HasID: true}, 10, `x510-/a,7["e"]`},
		{"answer", Header{Type: Ack, ID: 0, HasID: true}, 0, `x30["e"]`},
		{"binary answer", Header{Type: Ack, ID: 3, HasID: true}, 2, `x62-3["e"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := AppendPayload([]byte("x"), tt.header, []byte(`["e"]`), tt.attachments); string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

package siopacket_test

import (
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

func ExampleDecoder() {
	var d siopacket.Decoder // one per connection
	p, ok, err := d.Text([]byte(`2/chat,7["say","hello"]`))
	if err != nil || !ok {
		return
	}
	fmt.Println(p.Namespace, p.ID, string(p.Name))
	for _, arg := range p.AppendArgs(nil) {
		var s string
		if err := siopacket.Unmarshal(arg, p.Attachments, &s); err == nil {
			fmt.Println(s)
		}
	}
	// Output:
	// /chat 7 say
	// hello
}

func ExampleDecoder_Binary() {
	var d siopacket.Decoder
	_, ok, _ := d.Text([]byte(`51-["file",{"name":"a.txt","data":{"_placeholder":true,"num":0}}]`))
	fmt.Println(ok, d.Pending())
	p, ok, _ := d.Binary([]byte("content"))
	fmt.Println(ok, d.Pending())

	var file struct {
		Name string
		Data []byte
	}
	if err := siopacket.Unmarshal(p.AppendArgs(nil)[0], p.Attachments, &file); err == nil {
		fmt.Printf("%s: %s\n", file.Name, file.Data)
	}
	// Output:
	// false true
	// true false
	// a.txt: content
}

func ExampleAppend() {
	h := siopacket.Header{Type: siopacket.Event, Namespace: "/chat"}
	text, attachments, err := siopacket.Append(nil, h, "file", map[string]any{"name": "a.txt", "data": []byte("content")})
	if err != nil {
		return
	}
	fmt.Printf("%s\n%s\n", text, attachments)
	// Output:
	// 51-/chat,["file",{"data":{"_placeholder":true,"num":0},"name":"a.txt"}]
	// [content]
}

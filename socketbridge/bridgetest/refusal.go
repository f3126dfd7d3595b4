package bridgetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// DialError says that a client was refused: by the handshake, or by the namespace.
type DialError struct {
	// Status is the HTTP status of a handshake that was refused, or 0 if a connect middleware or
	// the namespace refused the client.
	Status int
	// Message is that of the client's connect_error, or the body of the HTTP response.
	Message string
	// Data is the data of the connect_error as JSON, or nil.
	Data json.RawMessage
	// Code is the field "code" of Data, such as socketbridge.CodeSessionMissing, or "".
	Code string
	// Err is the error on the server, such as that of a connect middleware. Clients never see
	// it. It is nil if the server has none.
	Err error
}

// Error returns what the client sees, and the error on the server.
func (e *DialError) Error() string {
	text := "refused: " + e.Message
	if e.Status != 0 {
		text = fmt.Sprintf("refused with status %d: %s", e.Status, e.Message)
	}
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if e.Err != nil {
		text += fmt.Sprintf("; on the server: %v", e.Err)
	}
	return text
}

// Unwrap returns Err.
func (e *DialError) Unwrap() error { return e.Err }

// refusalOf returns the DialError of a connect_error.
func refusalOf(payload []byte) *DialError {
	e := &DialError{}
	var body struct {
		Message string
		Data    json.RawMessage
	}
	if json.Unmarshal(payload, &body) != nil {
		e.Message = string(payload)
		return e
	}
	e.Message, e.Data = body.Message, body.Data
	var data struct{ Code string }
	if json.Unmarshal(body.Data, &data) == nil {
		e.Code = data.Code
	}
	return e
}

// open opens a connection with a handshake of the visitor.
func (v *Visitor) open(o options) (*conn, error) {
	target := v.url(v.io.Engine().Path())
	query := target.Query()
	query.Set("EIO", "4")
	query.Set("transport", engineio.WebSocket)
	maps.Copy(query, o.query)
	target.RawQuery = query.Encode()
	req, err := http.NewRequest(http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("bridgetest: %w", err)
	}
	maps.Copy(req.Header, o.header)
	if query.Get("transport") == engineio.WebSocket {
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
		req.Header.Set("Sec-WebSocket-Version", "13")
		req.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(make([]byte, 16)))
	}
	k := &conn{}
	res, err := v.do(req, v.app, k)
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode == http.StatusSwitchingProtocols && k.receiver != nil:
		return k, nil
	case k.Conn != nil:
		k.leave() // a middleware of the app has changed the response
	}
	body, _ := io.ReadAll(res.Body) // in memory, reading does not fail
	e := &DialError{Status: res.StatusCode, Message: string(body)}
	var answer struct{ Message string }
	if json.Unmarshal(body, &answer) == nil && answer.Message != "" {
		e.Message = answer.Message
	}
	return nil, e
}

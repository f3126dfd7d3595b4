package fibersession

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// Fiber returns a session.Store of Fiber over this store's sessions, for middlewares that take
// one, such as Fiber's csrf and goth_fiber:
//
//	app.Use(sessions.Handler())
//	app.Use(csrf.New(csrf.Config{Session: sessions.Fiber()}))
//
// Handler must run before the middleware. All calls return the same store. It is safe for
// concurrent use; a session that it returns is for the request's goroutine, as in Fiber.
//
// Get sees the values of the request's session, unsaved changes included. Save stores the keys
// that were changed since that Get, so that it overwrites nothing else, and writes this store's
// cookie if one is due. Destroy, Reset and Regenerate work as those of Session do. A time given
// to SetExpiry becomes the session's own idle limit.
//
// What differs from a store that session.New returns: ID is valid in its request only, because
// it names the request instead of the session (Session.ID and Session.Pseudonym name the
// session). Fresh is true only after Regenerate and Reset. A value whose type gob cannot encode
// is not visible: pass one to RegisterType. With another Config.Codec than the default, Save
// returns ErrUnsupportedType for a value whose type the codec does not keep.
//
// Without Handler, the store's calls return an error and a log line names the missing
// one. The same happens if another session.Store put the ID of a new session into the request,
// which Fiber's stores share.
func (s *Store) Fiber() *session.Store {
	s.start()
	s.fiberOnce.Do(func() { s.fiber.Store(newFiberStore(s)) })
	return s.fiber.Load().genuine
}

// fiberStore is the part of a Store that Fiber's own session.Store uses. Handler puts an ID that
// names the request into a cookie and a header of the request, under a name that only this
// process knows. The genuine store reads it from there and passes it to its Storage and
// KeyGenerator, which are this type's. So they know the request without being given it.
type fiberStore struct {
	store    *Store
	genuine  *session.Store
	name     string   // of the cookie and the header
	requests sync.Map // from a request's token to its *fiberRequest

	mu     sync.Mutex
	newIDs map[uint64]newFiberID // for the next call of newID, by goroutine

}

// newFiberID is what the next ID from the genuine store's KeyGenerator is for.
type newFiberID struct {
	request *fiberRequest
	given   givenValues
}

// fiberIDPrefix begins the IDs of the genuine store's sessions. No session ID has it by chance.
const fiberIDPrefix = "request."

func newFiberStore(s *Store) *fiberStore {
	f := &fiberStore{store: s, newIDs: make(map[uint64]newFiberID)}
	f.name = "X-Session-" + rand.Text()
	f.genuine = session.New(session.Config{
		Expiration:   s.Config.Expiration,
		Storage:      fiberStoreStorage{f},
		KeyLookup:    "header:" + f.name,
		KeyGenerator: f.newID,
	})
	return f
}

// errStrayID says why the genuine store used an ID that Handler did not give it.
var errStrayID = fmt.Errorf("%w; or another session.Store of Fiber put its own ID into the request before Store.Fiber() was used", ErrNoHandler)

// stray logs the first use of an ID that Handler did not give to the genuine store, because
// middlewares drop the error.
func (f *fiberStore) stray() error {
	f.store.notices.Report(&middlewareStrayNotice, "")
	return errStrayID
}

// find returns the request that an ID names, and the ID's number in it.
func (f *fiberStore) find(id string) (*fiberRequest, string, error) {
	token, ok := strings.CutPrefix(id, fiberIDPrefix)
	if !ok {
		return nil, "", f.stray()
	}
	token, number, _ := strings.Cut(token, ".")
	r, ok := f.requests.Load(token)
	if !ok {
		return nil, "", fmt.Errorf("%w: the ID of a session of Store.Fiber() is valid in its request only", ErrRequestOver)
	}
	return r.(*fiberRequest), number, nil
}

// newID is the KeyGenerator. Regenerate and Reset call it on the goroutine on which they called
// Delete before. Other calls are for a request without an ID, which did not pass Handler; for
// these, newID returns no ID.
func (f *fiberStore) newID() string {
	f.mu.Lock()
	expected := len(f.newIDs) > 0
	f.mu.Unlock()
	if expected {
		goroutine := goroutineID()
		f.mu.Lock()
		next, ok := f.newIDs[goroutine]
		delete(f.newIDs, goroutine)
		f.mu.Unlock()
		if ok {
			return next.request.issueID(next.given)
		}
	}
	_ = f.stray()
	return ""
}

// expectNewID prepares the call of newID that follows on this goroutine.
func (f *fiberStore) expectNewID(r *fiberRequest, given givenValues) {
	goroutine := goroutineID()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.newIDs[goroutine] = newFiberID{r, given}
}

// forget drops what newID was to return for a request.
func (f *fiberStore) forget(r *fiberRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for goroutine, next := range f.newIDs {
		if next.request == r {
			delete(f.newIDs, goroutine)
		}
	}
}

// fiberStoreStorage is the Storage of the genuine store.
type fiberStoreStorage struct{ f *fiberStore }

var _ fiber.Storage = fiberStoreStorage{}

// Get returns the values of the request's session as Fiber encodes them. It is never nil, so
// that the genuine store keeps the ID.
func (g fiberStoreStorage) Get(id string) ([]byte, error) {
	r, number, err := g.f.find(id)
	if err != nil {
		return nil, err
	}
	return r.read(number)
}

// Set stores what the genuine session changed.
func (g fiberStoreStorage) Set(id string, values []byte, exp time.Duration) error {
	r, number, err := g.f.find(id)
	if err != nil {
		return err
	}
	return r.write(number, values, exp)
}

// Delete ends the request's session, or the session of this store that has this ID. Fiber calls
// it for Regenerate too, where it gives the session a new ID instead.
func (g fiberStoreStorage) Delete(id string) error {
	if !strings.HasPrefix(id, fiberIDPrefix) && g.f.store.validID(id) {
		return g.f.store.Delete(id)
	}
	method := sessionMethod()
	r, number, err := g.f.find(id)
	if err != nil {
		return err
	}
	return r.remove(number, method)
}

// sessionMethod returns the name of the method of Fiber's Session that called Delete, or "".
// Destroy, Reset and Regenerate make the same call, and after Regenerate the sockets must stay.
// If Fiber renamed its methods, all three would end the session, and Save would begin another
// one.
func sessionMethod() string {
	var pcs [8]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		frame, more := frames.Next()
		if i := strings.LastIndex(frame.Function, "/middleware/session.(*Session)."); i >= 0 {
			return frame.Function[strings.LastIndexByte(frame.Function, '.')+1:]
		}
		if !more || !strings.Contains(frame.Function, "/fibersession.") { // wrappers of this type's methods
			return ""
		}
	}
}

// Reset ends all sessions of the store.
func (g fiberStoreStorage) Reset() error { return g.f.store.Reset() }

// Close closes the app's storage, as Config.Storage does.
func (g fiberStoreStorage) Close() error { return g.f.store.Config.Storage.Close() }

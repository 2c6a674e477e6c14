package rest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A signature is what is compared of an answer: status; the class of an error, or - where there is none; the type of a
// success and its members, sorted, with what is random or the time of day replaced; what it says to the cookie.
//
// Three things are not compared, and hold for every row: our errors are JSON also where the real server sends a page; the
// text of messages is ours; headers that no client reads (Date, Expires, X-XSS-Protection, Location) are left out.
func signatureOfAnswer(response *http.Response, body []byte, wasCut bool) (string, error) {
	cookie := "none"
	if c := response.Header.Get("Set-Cookie"); c != "" {
		cookie = cookieSign(c)
	}
	kind := response.Header.Get("Content-Type")
	if response.StatusCode >= 300 {
		class := "-"
		var e struct {
			RemoteException map[string]string
			Keytrustee      map[string]string
		}
		if kind == "application/json" && len(body) > 0 {
			if err := json.Unmarshal(body, &e); err != nil {
				return "", fmt.Errorf("error body %q: %w", body, err)
			}
			if c := e.RemoteException["javaClassName"]; c != "" {
				class = c
				members := slices.Sorted(maps.Keys(e.RemoteException))
				if !slices.Equal(members, []string{"exception", "javaClassName", "message"}) || !strings.HasSuffix(c, e.RemoteException["exception"]) {
					return "", fmt.Errorf("error body %q has other members than a RemoteException's", body)
				}
			}
		}
		return errorSignature(response.StatusCode, class, response.Header.Get("WWW-Authenticate"), cookie), nil
	}
	return successSignature(response.StatusCode, kind, string(body), cookie, wasCut), nil
}

func signatureOfRecord(all transcripts, r recorded) string {
	var headers []string
	if json.Unmarshal(r.Response.Headers, &headers) != nil {
		var set string
		json.Unmarshal(r.Response.Headers, &set)
		headers = all.HeaderSets[set]
	}
	header := http.Header{}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		header.Add(name, value)
	}
	cookie := "none"
	if c := header.Get("Set-Cookie"); c == "<setCookie>" {
		cookie = cookieSign(r.Response.SetCookie)
	} else if c != "" {
		cookie = cookieSign(c)
	}
	if r.Response.Status >= 300 {
		class := "-"
		if e := r.Response.RemoteException; e != nil {
			class = *e[0]
		} else if match := regexp.MustCompile(`"([\w.]+\.\w+)"\s*\}\s*\}$`).FindStringSubmatch(r.Response.Body); match != nil {
			class = match[1]
		}
		return errorSignature(r.Response.Status, class, header.Get("WWW-Authenticate"), cookie)
	}
	body := r.Response.Body
	if r.Request.Method == "HEAD" {
		body = ""
	}
	return successSignature(r.Response.Status, header.Get("Content-Type"), body, cookie, cut.MatchString(body))
}

func errorSignature(status int, class, authenticate, cookie string) string {
	if authenticate == "" {
		authenticate = "none"
	}
	return fmt.Sprintf("%d %s authenticate=%s cookie=%s", status, class, authenticate, cookie)
}

func successSignature(status int, kind, body, cookie string, wasCut bool) string {
	return fmt.Sprintf("%d %s %s cookie=%s", status, kind, members(body, wasCut), cookie)
}

// cookieSign is a Set-Cookie without what the time decides.
func cookieSign(c string) string {
	c = regexp.MustCompile(`e=(\d+|<millis>)&s=[^"]*"`).ReplaceAllString(c, `e=&s="`)
	c = regexp.MustCompile(`Expires=[^;]*`).ReplaceAllString(c, "Expires=")
	if !strings.Contains(c, "; Secure") { // all but a few were recorded without TLS
		c = strings.Replace(c, "; HttpOnly", "; Secure; HttpOnly", 1)
	}
	return strings.ReplaceAll(c, " ", "")
}

// members is the body's JSON with sorted members and names, and without what is random. Of a body that the recording cut
// only its kind is left.
func members(body string, wasCut bool) string {
	if body == "" {
		return "empty"
	}
	if strings.HasPrefix(body, "<") {
		return "page"
	}
	if wasCut {
		return "long " + body[:1]
	}
	body = strings.ReplaceAll(body, `: <millis>`, `: "<millis>"`)
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return fmt.Sprintf("no JSON: %.40q", body)
	}
	text, _ := json.Marshal(plain(v))
	return string(text)
}

// plain replaces key material that nobody chose by its length, times by a word, and sorts lists of names.
func plain(v any) any {
	switch v := v.(type) {
	case []any:
		var names []string
		for i := range v {
			if name, ok := v[i].(string); ok {
				names = append(names, name)
			}
			v[i] = plain(v[i])
		}
		if names != nil {
			slices.Sort(names)
			return names
		}
		return v
	case map[string]any:
		for name, value := range v {
			switch text, ok := value.(string); {
			case name == "material" && ok && chosen[text] == "", name == "iv" && ok:
				v[name] = lengthOf(text)
			case name == "created":
				v[name] = "time"
				if n, ok := value.(float64); ok && n < 1<<31 {
					v[name] = "a number that is no Long"
				}
			default:
				v[name] = plain(value)
			}
		}
	}
	return v
}

func lengthOf(text string) string {
	if match := placeholder.FindStringSubmatch(text); match != nil {
		return match[1] + " bytes"
	}
	return strconv.Itoa(len(text)*3/4) + " bytes"
}

// chosen is the material that requests brought, or that follows from it.
var chosen = map[string]string{
	"AAECAwQFBgcICQoLDA0ODw":                      "000102…0f",
	"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX":            "000102…17",
	"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8": "000102…1f",
	"4OHi4-Tl5ufo6err7O3u7w":                      "e0e1…ef",
	"ICEiIyQlJicoKSorLC0uLw":                      "the data key of the vector",
	"2Mcjr9UHqhKhcE8YBbc-vQ":                      "the data key under k1@1",
	"AIjbsZBpfc8sNtb3QIO3RQ":                      "the data key under k1@0",
}

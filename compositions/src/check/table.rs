//! The keys of composition files, each once: what is known to the checker, and what editors are told.

/// A map with known keys.
#[derive(Debug)]
pub(crate) struct Record {
    /// For messages: "a step".
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [Field],
}

/// A key.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) doc: &'static str,
    /// How it is written, for a next step.
    pub(crate) example: &'static str,
    pub(crate) required: bool,
}

impl Record {
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().map(|field| field.key)
    }
}

pub(crate) const fn field(key: &'static str, example: &'static str, doc: &'static str) -> Field {
    Field {
        key,
        doc,
        example,
        required: false,
    }
}

pub(crate) const fn required(key: &'static str, example: &'static str, doc: &'static str) -> Field {
    Field {
        key,
        doc,
        example,
        required: true,
    }
}

pub(crate) static FILE: Record = Record {
    name: "a composition",
    doc: "Several calls that make one answer.",
    fields: &[
        required(
            "composition",
            "composition: voice-insights",
            "Name: letters, digits, `-` and `_`, a letter first.",
        ),
        field(
            "about",
            "about: What it is for",
            "What it is for, in one line.",
        ),
        field(
            "expose",
            "expose: POST /v1/voice/insights",
            "One method and a path, perhaps with parameters, where it is served. Left out, only other compositions can use it.",
        ),
        field(
            "anonymous",
            "anonymous: true",
            "Whether a call needs no client key. Default: false.",
        ),
        field(
            "scopes",
            "scopes: [calls.read]",
            "Scopes that a caller must have, all of them: by its token, or by its client's `scopes`.",
        ),
        field(
            "input",
            "input: { text: string }",
            "What callers give: names and types, such as `string`, `integer?`, `blob(25MB)`, `list(string)`, `enum(a, b)`.",
        ),
        field(
            "deadline",
            "deadline: 20s",
            "Time for all of it, at most 10m. Default: 30s.",
        ),
        field("limits", "limits: { calls: 50 }", "Bounds on one run."),
        field(
            "idempotency",
            "idempotency: true",
            "Whether equal keys get the same answer without a second run.",
        ),
        field(
            "hosts",
            "hosts: [api.example.com]",
            "Hosts that HTTP steps may call: `api.example.com`, `*.example.com`, `127.0.0.1:9000`.",
        ),
        required(
            "steps",
            "steps: { mood: { use: text.sentiment, with: { text: $.input.text } } }",
            "The calls, by name. What refers to another waits for it; all else runs at once.",
        ),
        required(
            "output",
            "output: { mood: $.mood.label }",
            "What callers get: JSON, or a blob as it is.",
        ),
        field(
            "status",
            "status: 201",
            "Status of the answer, 200 to 599. Default: 200.",
        ),
        field(
            "headers",
            "headers: { x-language: $.heard.language }",
            "Headers of the answer.",
        ),
        field(
            "stream",
            "stream: true",
            "Whether each member of the output is sent as a server-sent event as soon as it is known. Default: false.",
        ),
    ],
};

pub(crate) static INPUT: Record = Record {
    name: "an input",
    doc: "One thing that callers give.",
    fields: &[
        required("type", "type: string", "What it must be."),
        field(
            "from",
            "from: query",
            "Where a request has it: `field`, `part`, `body`, `query`, `path` or `header`.",
        ),
        field(
            "name",
            "name: x-language",
            "Its name in the request, if that is another one.",
        ),
        field(
            "default",
            "default: en",
            "What it is when the caller does not give it.",
        ),
        field(
            "about",
            "about: What it is for",
            "What it is for, in one line.",
        ),
    ],
};

pub(crate) static LIMITS: Record = Record {
    name: "`limits`",
    doc: "Bounds on one run.",
    fields: &[
        field(
            "body",
            "body: 32MB",
            "Largest request, at most 1GB. Default: 32MB.",
        ),
        field(
            "calls",
            "calls: 200",
            "Most calls of all steps together, at most 10000. Default: 200.",
        ),
        field(
            "at_once",
            "at_once: 16",
            "Most calls at once, at most 64. Default: 16.",
        ),
    ],
};

pub(crate) static IDEMPOTENCY: Record = Record {
    name: "`idempotency`",
    doc: "What equal keys mean.",
    fields: &[
        field(
            "header",
            "header: Idempotency-Key",
            "Header that has the key. Default: `Idempotency-Key`.",
        ),
        field(
            "required",
            "required: true",
            "Whether a request without a key is refused. Default: false.",
        ),
        field(
            "keep",
            "keep: 24h",
            "How long an answer is given again, at most 30d. Default: 24h.",
        ),
    ],
};

pub(crate) static STEP: Record = Record {
    name: "a step",
    doc: "One call, or many of the same kind. It has exactly one of `use`, `http` and `race`.",
    fields: &[
        field(
            "use",
            "use: text.sentiment",
            "An operation of a capability, or `composition.NAME`.",
        ),
        field("with", "with: { text: $.input.text }", "What it is given."),
        field(
            "http",
            "http: GET https://api.example.com/items",
            "A plain HTTP request: a method and a URL, or a map.",
        ),
        field(
            "race",
            "race: [ { use: text.language, … }, { use: translation.detect, … } ]",
            "Several at once, of which the first good answer counts; all of them must only read.",
        ),
        field(
            "when",
            "when: \"= heard.language != 'en'\"",
            "A condition (CEL). If it does not hold, the step is skipped and its output is absent.",
        ),
        field(
            "each",
            "each: $.heard.segments",
            "A list: the step runs for each of its items (`$.item`, `$.index`), and its output is a list.",
        ),
        field(
            "after",
            "after: [stored]",
            "Steps that must have ended, though nothing of them is referred to.",
        ),
        field(
            "timeout",
            "timeout: 5s",
            "Time for the step, all its tries included.",
        ),
        field(
            "retry",
            "retry: 2",
            "Further tries after all of a pool's accounts failed, at most 5.",
        ),
        field(
            "cache",
            "cache: 10m",
            "How long an equal call's answer may be used again; operations that only read.",
        ),
        field(
            "hedge",
            "hedge: 300ms",
            "When a second account is asked as well; operations that only read.",
        ),
        field(
            "pool",
            "pool: main",
            "Who may serve it: a pool of the configuration, or a list of accounts.",
        ),
        field(
            "otherwise",
            "otherwise: { entities: [] }",
            "Its output if it fails; the answer is then degraded.",
        ),
        field(
            "undo",
            "undo: { http: { method: DELETE, … } }",
            "A call that takes its effect back when a later step fails.",
        ),
    ],
};

pub(crate) static WAY: Record = Record {
    name: "a way of `race`",
    doc: "One call of a race.",
    fields: &[
        field(
            "use",
            "use: text.language",
            "An operation of a capability, or `composition.NAME`.",
        ),
        field("with", "with: { text: $.input.text }", "What it is given."),
        field(
            "http",
            "http: GET https://api.example.com/items",
            "A plain HTTP request: a method and a URL, or a map.",
        ),
        field(
            "pool",
            "pool: main",
            "Who may serve it: a pool of the configuration, or a list of accounts.",
        ),
    ],
};

pub(crate) static UNDO: Record = Record {
    name: "`undo`",
    doc: "A call that takes an effect back.",
    fields: &[
        field(
            "use",
            "use: composition.NAME",
            "An operation of a capability, or `composition.NAME`.",
        ),
        field(
            "with",
            "with: { id: $.stored.body.id }",
            "What it is given.",
        ),
        field(
            "http",
            "http: { method: DELETE, … }",
            "A plain HTTP request: a method and a URL, or a map.",
        ),
        field(
            "pool",
            "pool: main",
            "Who may serve it: a pool of the configuration, or a list of accounts.",
        ),
    ],
};

pub(crate) static EACH: Record = Record {
    name: "`each`",
    doc: "Repetition for each item of a list.",
    fields: &[
        required("in", "in: $.heard.segments", "The list."),
        field(
            "at_once",
            "at_once: 4",
            "Calls at once, at most 64. Default: 4.",
        ),
        field(
            "most",
            "most: 100",
            "Most items, at most 1000; a longer list fails the step. Default: 100.",
        ),
        field(
            "failed",
            "failed: drop",
            "What a failed item means: `stop` (the step fails), `null` (nothing in its place) or `drop` (left out). Default: stop.",
        ),
    ],
};

pub(crate) static RETRY: Record = Record {
    name: "`retry`",
    doc: "Further tries.",
    fields: &[
        required("times", "times: 2", "How many, 1 to 5."),
        field(
            "pause",
            "pause: 200ms",
            "Pause before the first, doubled each time. Default: 200ms.",
        ),
    ],
};

pub(crate) static HTTP: Record = Record {
    name: "`http`",
    doc: "A plain HTTP request to one of the composition's `hosts`. Its output has `status`, `headers` and `body`.",
    fields: &[
        field(
            "method",
            "method: PUT",
            "GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS. Default: GET.",
        ),
        required(
            "url",
            "url: https://api.example.com/items/{id}",
            "Where it goes; a reference or an expression makes it at run time.",
        ),
        field(
            "path",
            "path: { id: $.input.id }",
            "Values of the URL's parameters.",
        ),
        field("query", "query: { page: 2 }", "Parameters of the query."),
        field("headers", "headers: { x-tier: gold }", "Headers."),
        field(
            "json",
            "json: { text: $.heard.text }",
            "Body, sent as JSON.",
        ),
        field(
            "body",
            "body: $.input.audio",
            "Body: a blob or a text, as it is.",
        ),
        field(
            "bearer",
            "bearer: ${STORE_KEY}",
            "Credential, sent as a bearer token: `${VARIABLE}` or `file(PATH)`.",
        ),
        field(
            "accept",
            "accept: [404]",
            "Statuses outside 200 to 299 that are answers, too.",
        ),
        field(
            "key",
            "key: Idempotency-Key",
            "Header that gets a key of the run and the step, so that repeating is safe.",
        ),
        field(
            "effect",
            "effect: read",
            "What repeating it does: `read`, `idempotent`, `keyed` or `unsafe`. Default: by its method.",
        ),
        field(
            "returns",
            "returns: { id: string }",
            "Type of the answer's body. Default: any.",
        ),
        field(
            "most",
            "most: 10MB",
            "Largest answer, at most 100MB. Default: 10MB.",
        ),
    ],
};

/// Where a request has an input.
pub(crate) const FROM: [&str; 6] = ["field", "part", "body", "query", "path", "header"];
/// What a failed item of `each` means.
pub(crate) const FAILED: [&str; 3] = ["stop", "null", "drop"];
/// What repeating a request does.
pub(crate) const EFFECTS: [&str; 4] = ["read", "idempotent", "keyed", "unsafe"];
/// Methods of requests.
pub(crate) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

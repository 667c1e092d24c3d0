//! JSON-RPC, as far as one needs it who stands between the two ends.

use hyper::body::Bytes;
use serde_json::{Value, json};

/// The code of the error by which an endpoint says that it is asked too often (EIP-1474).
pub(super) const LIMIT_EXCEEDED: i64 = -32_005;

/// A JSON-RPC call.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// Its method.
    pub method: String,
    /// Its parameters; null without.
    pub params: Value,
    pub(super) id: Value,
}

impl Call {
    pub(super) fn named(method: &str) -> Self {
        Self { method: method.to_owned(), params: Value::Null, id: Value::Null }
    }

    pub(super) fn of(mut json: Value) -> Option<Self> {
        let method = json["method"].as_str()?.to_owned();
        Some(Self { method, params: json["params"].take(), id: json["id"].take() })
    }

    fn to_json(&self) -> Value {
        json!({ "jsonrpc": "2.0", "id": self.id, "method": self.method, "params": self.params })
    }

    pub(super) fn result(&self, result: Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": self.id, "result": result })
    }

    pub(super) fn error(&self, code: i64, message: &str) -> Value {
        json!({ "jsonrpc": "2.0", "id": self.id, "error": { "code": code, "message": message } })
    }

    /// Whether this answers it.
    pub(super) fn is_answered_by(&self, answer: &Value) -> bool {
        answer["id"] == self.id
    }
}

/// Whether calls came alone or in an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Single,
    Batch,
}

/// What came in one HTTP request, or in one message of a WebSocket.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) list: Vec<Call>,
    pub(super) form: Form,
}

impl Calls {
    /// `None` for what is no JSON-RPC.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let told: Value = serde_json::from_slice(body).ok()?;
        let (calls, form) = match told {
            Value::Array(ref calls) if !calls.is_empty() => (calls.clone(), Form::Batch),
            // An empty batch is refused as a call that is none.
            Value::Array(_) | Value::Object(_) => (vec![told], Form::Single),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
        Some(Self { list: calls.into_iter().map(Call::of).collect::<Option<_>>()?, form })
    }

    /// These calls alone, in the form in which all came.
    pub(super) fn body_of<'a>(&self, calls: impl Iterator<Item = &'a Call>) -> Bytes {
        self.body(calls.map(Call::to_json).collect())
    }

    /// Calls or answers in the form in which the calls came.
    pub(super) fn body(&self, mut values: Vec<Value>) -> Bytes {
        let whole = match self.form {
            Form::Batch => Value::Array(values),
            Form::Single => values.pop().unwrap_or_default(),
        };
        Bytes::from(whole.to_string())
    }

    /// The answers of an answer to calls of this form; `None` where it is none.
    pub(super) fn answers(&self, body: &[u8]) -> Option<Vec<Value>> {
        match (self.form, serde_json::from_slice(body).ok()?) {
            (Form::Batch, Value::Array(answers)) => Some(answers),
            (Form::Single, single) => Some(vec![single]),
            // A node may answer a batch with one error for all.
            (Form::Batch, _) => None,
        }
    }
}

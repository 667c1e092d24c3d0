//! JSON-RPC as web3signer speaks it: requests, answers, and what is made of answers that are none.

use alloy::dyn_abi::TypedData;
use alloy::primitives::{Address, B256, Signature, hex};
use serde::Deserialize;
use serde_json::{Value, json};

/// Each request goes alone over its connection; the number is repeated in the answer.
const ID: u64 = 1;

/// How much of a signer's own words is repeated.
const QUOTED_CHARS: usize = 200;

/// A question to a signer.
#[derive(Clone, Debug)]
pub(super) enum Question<'a> {
    /// Which keys it has.
    Accounts,
    /// The signature over 32 bytes as an EIP-191 message.
    Message { signer: Address, message: B256 },
    /// The signature over typed data.
    Typed { signer: Address, typed: &'a TypedData },
}

impl Question<'_> {
    /// The body of the request.
    pub(super) fn body(&self) -> Vec<u8> {
        let (method, params) = match self {
            Self::Accounts => ("eth_accounts", json!([])),
            Self::Message { signer, message } => ("eth_sign", json!([signer, message])),
            // As text: signers that take nothing else outnumber those that take an object.
            Self::Typed { signer, typed } => ("eth_signTypedData", json!([signer, document(typed).to_string()])),
        };
        json!({ "jsonrpc": "2.0", "id": ID, "method": method, "params": params }).to_string().into_bytes()
    }
}

/// Typed data as EIP-712 writes it. The chain id is a number there, and read as nothing else by some.
fn document(typed: &TypedData) -> Value {
    let TypedData { domain, resolver, primary_type, message } = typed;
    let mut document = json!({ "domain": domain, "types": resolver, "primaryType": primary_type, "message": message });
    if let Some(chain_id) = domain.chain_id.and_then(|id| u64::try_from(id).ok()) {
        document["domain"]["chainId"] = chain_id.into();
    }
    document
}

/// What is wrong with an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum NoResult {
    /// The signer said no.
    Refused { code: i64, text: String },
    /// No signer says this.
    Malformed(String),
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    result: Value,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    #[serde(default)]
    message: String,
}

/// The result in the body of an answer. A refusal comes with any HTTP status, so that the body goes first.
pub(super) fn result(status: u16, body: &[u8]) -> Result<Value, NoResult> {
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        let text = quoted(&String::from_utf8_lossy(body));
        return Err(match status {
            200..=299 => NoResult::Malformed(format!("it is not JSON-RPC: {text}")),
            300..=399 => {
                NoResult::Refused { code: status.into(), text: "a redirection, which is not followed".to_owned() }
            }
            _ => NoResult::Refused { code: status.into(), text },
        });
    };
    if let Some(Refusal { code, message }) = answer.error {
        return Err(NoResult::Refused { code, text: quoted(&message) });
    }
    if !(200..=299).contains(&status) {
        return Err(NoResult::Refused { code: status.into(), text: quoted(&answer.result.to_string()) });
    }
    if answer.id != ID {
        return Err(NoResult::Malformed(format!("it answers request {}, not {ID}", quoted(&answer.id.to_string()))));
    }
    Ok(answer.result)
}

/// The signature in a result: 65 bytes, whose last is 0, 1, 27 or 28; of the two forms there are, the low one.
pub(super) fn signature(result: &Value) -> Result<Signature, NoResult> {
    let malformed = || NoResult::Malformed(format!("{} is no signature", quoted(&result.to_string())));
    let bytes = result.as_str().and_then(|text| hex::decode(text).ok()).ok_or_else(malformed)?;
    let signature = Signature::from_raw(&bytes).map_err(|_| malformed())?;
    Ok(signature.normalized_s())
}

/// The addresses in a result.
pub(super) fn addresses(result: Value) -> Result<Vec<Address>, NoResult> {
    let text = quoted(&result.to_string());
    serde_json::from_value(result).map_err(|_| NoResult::Malformed(format!("{text} is no list of addresses")))
}

/// The beginning of what somebody else wrote, on one line.
fn quoted(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED_CHARS).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: i64, text: &str) -> Result<Value, NoResult> {
        Err(NoResult::Refused { code, text: text.to_owned() })
    }

    #[test]
    fn a_result_is_taken_from_a_success_alone_and_a_refusal_from_any_status() {
        let no = br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"No unlocked account"}}"#;
        assert_eq!(result(200, br#"{"jsonrpc":"2.0","id":1,"result":"0x01"}"#), Ok(json!("0x01")));
        for status in [200, 400, 500] {
            assert_eq!(result(status, no), refused(-32000, "No unlocked account"));
        }
        assert_eq!(result(500, br#"{"jsonrpc":"2.0","id":1,"result":"0x01"}"#), refused(500, "\"0x01\""));
        assert_eq!(result(403, b"Host\r\nnot allowed"), refused(403, "Host  not allowed"));
        assert!(matches!(result(307, b""), Err(NoResult::Refused { code: 307, .. })));
        for body in [&b"<html>"[..], br#"{"jsonrpc":"2.0","id":2,"result":"0x01"}"#, br#"{"result":"0x01"}"#, b""] {
            assert!(matches!(result(200, body), Err(NoResult::Malformed(_))));
        }
    }

    #[test]
    fn what_a_signer_says_is_repeated_in_part() {
        let body = json!({ "id": 1, "error": { "code": 1, "message": "x".repeat(10_000) } }).to_string();
        assert_eq!(result(200, body.as_bytes()), refused(1, &"x".repeat(QUOTED_CHARS)));
    }

    #[test]
    fn a_signature_is_65_bytes_with_a_parity_in_either_custom() {
        let with = |last: u8| {
            let mut bytes = [[1_u8; 32], [2; 32]].concat();
            bytes.push(last);
            json!(hex::encode_prefixed(bytes))
        };
        for (custom, other) in [(0, 27), (1, 28)] {
            assert_eq!(signature(&with(custom)).unwrap(), signature(&with(other)).unwrap());
        }
        for bad in [with(2), json!("0x"), json!("no"), json!(7), Value::Null] {
            assert!(matches!(signature(&bad), Err(NoResult::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn a_high_signature_becomes_the_low_one_that_contracts_take() {
        use alloy::signers::SignerSync;
        let key = alloy::signers::local::PrivateKeySigner::random();
        let low = key.sign_hash_sync(&B256::repeat_byte(7)).unwrap();
        let order = alloy::primitives::uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
        let high = Signature::new(low.r(), order - low.s(), !low.v());
        assert_eq!(signature(&json!(hex::encode_prefixed(high.as_bytes()))), Ok(low));
    }
}

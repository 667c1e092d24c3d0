//! Numbers and bytes as interchange files write them: both are strings.

use std::fmt;

use alloy::hex;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A whole number as a string of decimal digits, without sign, spaces or leading zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Decimal(pub u64);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number below 2^64 as a string of decimal digits")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Decimal, E> {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
                let number = if digits { text.parse().ok() } else { None };
                number.map(Decimal).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

/// Bytes as a hexadecimal string after `0x`: written in lower case, read in either.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Hex<const N: usize>(pub [u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode_prefixed(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits<const N: usize>;
        impl<const N: usize> Visitor<'_> for Digits<N> {
            type Value = Hex<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x and {} hexadecimal digits as a string", 2 * N)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Hex<N>, E> {
                let mut bytes = [0; N];
                let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with("0x"));
                let read = digits.map(|digits| hex::decode_to_slice(digits, &mut bytes));
                match read {
                    Some(Ok(())) => Ok(Hex(bytes)),
                    Some(Err(_)) | None => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_str(Digits::<N>)
    }
}

/// A member that may be left out, but is not `null` where it is there.
pub(super) mod required {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::interchange) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        T::deserialize(deserializer).map(Some)
    }

    pub(in crate::interchange) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_string_of_plain_digits() {
        for (text, expected) in [
            ("\"0\"", Some(0)),
            ("\"18446744073709551615\"", Some(u64::MAX)),
            ("\"18446744073709551616\"", None),
            ("7", None),
            ("\"\"", None),
            ("\"+7\"", None),
            ("\"-7\"", None),
            ("\" 7\"", None),
            ("\"07\"", None),
            ("\"0x7\"", None),
            ("\"7.0\"", None),
            ("null", None),
        ] {
            assert_eq!(serde_json::from_str::<Decimal>(text).ok(), expected.map(Decimal), "{text}");
        }
    }

    #[test]
    fn bytes_are_prefixed_digits_of_the_right_number() {
        for (text, expected) in [
            ("\"0x00ff\"", Some([0, 255])),
            ("\"0x00FF\"", Some([0, 255])),
            ("\"00ff\"", None),
            ("\"0X00ff\"", None),
            ("\"0x0x00ff\"", None),
            ("\"0x0xff\"", None),
            ("\"0x0ff\"", None),
            ("\"0x00ff00\"", None),
            ("\"0x00fg\"", None),
            ("\"0x\"", None),
            ("255", None),
        ] {
            assert_eq!(serde_json::from_str::<Hex<2>>(text).ok(), expected.map(Hex), "{text}");
        }
        assert_eq!(serde_json::to_string(&Hex([0xAB, 1])).unwrap(), "\"0xab01\"");
    }
}

//! Compiled contracts as foundry writes them: read, linked, ready to deploy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy::primitives::{Address, Bytes, hex, keccak256};
use serde::Deserialize;

use crate::{AnvilError, Result};

/// One compiled contract.
#[derive(Clone, Debug)]
pub struct Artifact {
    path: PathBuf,
    /// Creation code in hex, without `0x`; where a library's address belongs it has a placeholder.
    code: String,
    /// Library name to the byte offsets of its address.
    links: BTreeMap<String, Vec<usize>>,
    /// Selector to signature of the errors in its ABI.
    errors: BTreeMap<[u8; 4], String>,
}

/// The artifacts of a deployment, by contract name.
#[derive(Clone, Debug)]
pub struct Artifacts {
    by_name: BTreeMap<&'static str, Artifact>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundryJson {
    abi: Vec<AbiItem>,
    bytecode: FoundryBytecode,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundryBytecode {
    object: String,
    #[serde(default)]
    link_references: BTreeMap<String, BTreeMap<String, Vec<LinkReference>>>,
}

#[derive(Deserialize)]
struct LinkReference {
    start: usize,
    length: usize,
}

#[derive(Deserialize)]
struct AbiItem {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    inputs: Vec<AbiParameter>,
}

#[derive(Deserialize)]
struct AbiParameter {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    components: Vec<AbiParameter>,
}

impl AbiParameter {
    /// The type as it counts for a selector: tuples by their parts.
    fn canonical(&self) -> String {
        match self.kind.strip_prefix("tuple") {
            Some(array) => format!("({}){array}", canonical(&self.components)),
            None => self.kind.clone(),
        }
    }
}

fn canonical(parameters: &[AbiParameter]) -> String {
    parameters.iter().map(AbiParameter::canonical).collect::<Vec<_>>().join(",")
}

impl Artifact {
    /// Reads `out/<name>.sol/<name>.json`.
    ///
    /// # Errors
    /// [`AnvilError::Artifact`] when the file is missing, is no foundry artifact, or has no creation code.
    pub fn load(out: &Path, name: &str) -> Result<Self> {
        let path = out.join(format!("{name}.sol")).join(format!("{name}.json"));
        let unusable = |problem: String| AnvilError::Artifact { path: path.clone(), problem };
        let text = std::fs::read(&path).map_err(|error| unusable(error.to_string()))?;
        let json: FoundryJson = serde_json::from_slice(&text).map_err(|error| unusable(error.to_string()))?;
        let code = json.bytecode.object.strip_prefix("0x").unwrap_or(&json.bytecode.object).to_owned();
        if code.is_empty() {
            return Err(unusable("it has no creation code; an interface cannot be deployed".to_owned()));
        }
        let mut links: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (library, references) in json.bytecode.link_references.into_values().flatten() {
            for LinkReference { start, length } in references {
                if length != 20 || code.len() < (start + length) * 2 {
                    return Err(unusable(format!("its link reference to {library} at {start} lies outside the code")));
                }
                links.entry(library.clone()).or_default().push(start);
            }
        }
        let errors = json.abi.iter().filter(|item| item.kind == "error").map(selector_and_signature).collect();
        Ok(Self { path, code, links, errors })
    }

    /// Creation code with the libraries' addresses in place, followed by `arguments` (ABI-encoded).
    ///
    /// # Errors
    /// [`AnvilError::Artifact`] when a library it needs is not among `libraries`, or the code is no hex.
    pub fn link(&self, libraries: &BTreeMap<&str, Address>, arguments: &[u8]) -> Result<Bytes> {
        let unusable = |problem: String| AnvilError::Artifact { path: self.path.clone(), problem };
        let mut code = self.code.clone();
        for (library, starts) in &self.links {
            let address = libraries.get(library.as_str());
            let address =
                address.ok_or_else(|| unusable(format!("it needs the library {library}, which is not deployed")))?;
            for start in starts {
                code.replace_range(start * 2..(start + 20) * 2, &hex::encode(address));
            }
        }
        let mut code = hex::decode(code).map_err(|error| unusable(format!("its code is no hex: {error}")))?;
        code.extend_from_slice(arguments);
        Ok(code.into())
    }
}

fn selector_and_signature(item: &AbiItem) -> ([u8; 4], String) {
    let signature = format!("{}({})", item.name, canonical(&item.inputs));
    let hash = keccak256(&signature);
    ([hash[0], hash[1], hash[2], hash[3]], signature)
}

impl Artifacts {
    /// Reads the artifacts `names` below `out`.
    ///
    /// # Errors
    /// [`AnvilError::Artifact`] names the first that is missing or unusable.
    pub fn load(out: &Path, names: &[&'static str]) -> Result<Self> {
        let load = |name: &&'static str| Artifact::load(out, name).map(|artifact| (*name, artifact));
        Ok(Self { by_name: names.iter().map(load).collect::<Result<_>>()? })
    }

    /// The artifact `name`, which must be among those that were loaded.
    pub(crate) fn get(&self, name: &'static str) -> &Artifact {
        self.by_name.get(name).expect("the deployment's own list of names is what was loaded")
    }

    /// What the data of a revert says, by the errors of the contracts and of their ABIs; else the data itself.
    #[must_use]
    pub fn explain(&self, revert: &[u8]) -> String {
        if revert.is_empty() {
            return "without a reason (out of gas, or a call to no contract)".to_owned();
        }
        if let Some(known) = fermata_rollup::contracts::decode_revert(revert) {
            return known.to_string();
        }
        let selector = revert.first_chunk::<4>();
        let signature = selector.and_then(|selector| self.by_name.values().find_map(|one| one.errors.get(selector)));
        match signature {
            Some(signature) => format!("{signature} with 0x{}", hex::encode(&revert[4..])),
            None => format!("an unknown error, 0x{}", hex::encode(revert)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(out: &Path, name: &str, json: &str) {
        let folder = out.join(format!("{name}.sol"));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{name}.json")), json).expect("a file");
    }

    fn problem(result: Result<impl std::fmt::Debug>) -> String {
        let error = result.expect_err("an error");
        let AnvilError::Artifact { problem, .. } = error else { panic!("another error: {error}") };
        problem
    }

    #[test]
    fn libraries_are_linked_at_each_reference_and_arguments_follow() {
        let out = tempfile::tempdir().expect("a folder");
        let hole = "__$0123456789012345678901234567890123$__";
        let json = format!(
            r#"{{"abi":[],"bytecode":{{"object":"0xaa{hole}bb{hole}","linkReferences":{{"l.sol":{{"L":[{{"start":1,"length":20}},{{"start":22,"length":20}}]}}}}}}}}"#
        );
        write(out.path(), "C", &json);
        let artifact = Artifact::load(out.path(), "C").expect("an artifact");
        let address = Address::repeat_byte(0x11);
        let code = artifact.link(&BTreeMap::from([("L", address)]), &[0xcc]).expect("code");
        let address = "11".repeat(20);
        assert_eq!(hex::encode(code), format!("aa{address}bb{address}cc"));
        assert!(problem(artifact.link(&BTreeMap::new(), &[])).contains("library L"));
    }

    #[test]
    fn a_missing_a_broken_and_an_empty_artifact_are_told_apart() {
        let out = tempfile::tempdir().expect("a folder");
        write(out.path(), "Broken", "{");
        write(out.path(), "Interface", r#"{"abi":[],"bytecode":{"object":"0x"}}"#);
        let outside =
            r#"{"abi":[],"bytecode":{"object":"0xaa","linkReferences":{"l.sol":{"L":[{"start":1,"length":20}]}}}}"#;
        write(out.path(), "Outside", outside);
        assert!(problem(Artifact::load(out.path(), "Missing")).contains("No such file"));
        assert!(problem(Artifact::load(out.path(), "Broken")).contains("EOF"));
        assert!(problem(Artifact::load(out.path(), "Interface")).contains("creation code"));
        assert!(problem(Artifact::load(out.path(), "Outside")).contains("outside"));
    }

    #[test]
    fn an_error_known_only_to_the_artifact_is_explained_by_its_signature() {
        let out = tempfile::tempdir().expect("a folder");
        let inputs = r#"[{"type":"tuple[]","components":[{"type":"uint256"},{"type":"address"}]}]"#;
        let abi = format!(r#"[{{"type":"error","name":"Odd","inputs":{inputs}}}]"#);
        write(out.path(), "C", &format!(r#"{{"abi":{abi},"bytecode":{{"object":"0x00"}}}}"#));
        let artifacts = Artifacts::load(out.path(), &["C"]).expect("artifacts");
        let mut data = keccak256("Odd((uint256,address)[])")[..4].to_vec();
        data.push(7);
        assert_eq!(artifacts.explain(&data), "Odd((uint256,address)[]) with 0x07");
        assert!(artifacts.explain(&[1, 2, 3, 4]).contains("unknown error"));
    }
}

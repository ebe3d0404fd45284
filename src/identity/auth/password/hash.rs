//! Stored password hashes: of this program, and of other programs by an import. They are PHC
//! strings, or bcrypt's format, whose beginning is the [`Kind`] and tells how long a verification takes.

use std::{fmt, num::NonZeroU32};

use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHash};
use aws_lc_rs::pbkdf2;
use base64::{
    Engine as _, alphabet,
    engine::{
        GeneralPurpose,
        general_purpose::{NO_PAD, STANDARD_NO_PAD},
    },
};
use subtle::ConstantTimeEq as _;

use mainstay_kernel::error::{Error, Result};

/// The longest salt and output that a PHC string has, in bytes.
const MAX_SALT_BYTES: usize = 48;
const MAX_OUTPUT_BYTES: usize = 64;
/// The part of a password that bcrypt reads, in bytes, and the lengths of its salt and its output.
const BCRYPT_BYTES: usize = 72;
const BCRYPT_SALT_BYTES: usize = 16;
const BCRYPT_OUTPUT_BYTES: usize = 23;
const BCRYPT_SALT_CHARS: usize = 22;

/// bcrypt's base64. Some programs set the unused bits at its end.
const BCRYPT_BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// The bounds on the parameters of imported hashes: one verification takes about a second at most.
const MAX_MEMORY_KIB: u64 = 128 << 10;
/// The memory times the passes over it, in KiB.
const MAX_WORK_KIB: u64 = 512 << 10;
const MAX_LANES: u32 = 16;
/// The factor of the memory that scrypt needs per lane beside its table.
const MAX_BLOCK: u32 = 32;
const MAX_BCRYPT_COST: u32 = 14;
const MAX_ITERATIONS: u32 = 2_000_000;

/// The scheme of a hash with its parameters. Two hashes of one kind take equally long to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Argon2 { variant: Algorithm, version: Version, memory_kib: u32, passes: u32, lanes: u32 },
    Bcrypt { cost: u32 },
    Scrypt { log_n: u8, block: u32, lanes: u32 },
    Pbkdf2 { digest: Digest, iterations: NonZeroU32 },
}

/// The hash function of PBKDF2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// Returns the name in PHC strings.
    fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "pbkdf2",
            Self::Sha256 => "pbkdf2-sha256",
            Self::Sha512 => "pbkdf2-sha512",
        }
    }

    /// Returns the function of a name in PHC strings, or in the strings of Django.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "pbkdf2_sha1" => Some(Self::Sha1),
            "pbkdf2_sha256" => Some(Self::Sha256),
            _ => Self::ALL.into_iter().find(|digest| digest.name() == name),
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

impl Kind {
    /// Checks that a verification stays within the bounds on memory and time.
    ///
    /// # Errors
    /// The parameter that is out of bounds.
    pub(super) fn check(self) -> Result<(), String> {
        let (memory, passes, lanes) = match self {
            Self::Argon2 { memory_kib, passes, lanes, .. } => (u64::from(memory_kib), u64::from(passes), lanes),
            Self::Scrypt { block, .. } if block > MAX_BLOCK => {
                return Err(format!("has the block size {block} of scrypt; at most {MAX_BLOCK} is accepted"));
            }
            Self::Scrypt { log_n, block, lanes } => {
                let memory = 1_u64.checked_shl(log_n.into()).and_then(|n| n.checked_mul(u64::from(block)));
                (memory.map_or(u64::MAX, |memory| memory.div_ceil(8)), u64::from(lanes), lanes)
            }
            Self::Bcrypt { cost } if cost > MAX_BCRYPT_COST => {
                return Err(format!("has the cost {cost} of bcrypt; at most {MAX_BCRYPT_COST} is accepted"));
            }
            Self::Pbkdf2 { iterations, .. } if iterations.get() > MAX_ITERATIONS => {
                return Err(format!("has {iterations} iterations of PBKDF2; at most {MAX_ITERATIONS} are accepted"));
            }
            Self::Bcrypt { .. } | Self::Pbkdf2 { .. } => return Ok(()),
        };
        if memory > MAX_MEMORY_KIB {
            return Err(format!("needs {memory} KiB of memory; at most {MAX_MEMORY_KIB} are accepted"));
        }
        if memory * passes > MAX_WORK_KIB || lanes > MAX_LANES {
            return Err(format!(
                "has {passes} passes over {memory} KiB in {lanes} lanes; at most {MAX_WORK_KIB} KiB in all passes and \
                 {MAX_LANES} lanes are accepted"
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argon2 { variant, version, memory_kib, passes, lanes } => {
                write!(f, "${variant}$v={}$m={memory_kib},t={passes},p={lanes}", u32::from(*version))
            }
            Self::Bcrypt { cost } => write!(f, "$2b${cost:02}"),
            Self::Scrypt { log_n, block, lanes } => write!(f, "$scrypt$ln={log_n},r={block},p={lanes}"),
            Self::Pbkdf2 { digest, iterations } => write!(f, "${}$i={iterations}", digest.name()),
        }
    }
}

/// A stored hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hash {
    pub(crate) kind: Kind,
    pub(super) salt: Vec<u8>,
    pub(super) output: Vec<u8>,
}

impl Hash {
    /// Parses the stored form of a hash.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("$2b$").and_then(|rest| rest.split_once('$')) {
            Some((cost, rest)) => Self::bcrypt(cost, rest),
            None => Self::phc(text),
        }
    }

    /// Parses the cost of bcrypt, and the salt with the output.
    pub(super) fn bcrypt(cost: &str, rest: &str) -> Result<Self, String> {
        let cost = Some(cost).filter(|cost| cost.len() == 2).and_then(|cost| cost.parse::<u32>().ok());
        let cost = cost.filter(|cost| (4..=31).contains(cost)).ok_or("has no cost of bcrypt from 04 to 31")?;
        let parts = rest
            .split_at_checked(BCRYPT_SALT_CHARS)
            .and_then(|(salt, output)| Some((BCRYPT_BASE64.decode(salt).ok()?, BCRYPT_BASE64.decode(output).ok()?)));
        let parts =
            parts.filter(|(salt, output)| [salt.len(), output.len()] == [BCRYPT_SALT_BYTES, BCRYPT_OUTPUT_BYTES]);
        let (salt, output) = parts.ok_or("has no salt and output of bcrypt, 53 characters of its base64")?;
        Ok(Self { kind: Kind::Bcrypt { cost }, salt, output })
    }

    /// Parses a string of the PHC format.
    fn phc(text: &str) -> Result<Self, String> {
        let hash = PasswordHash::new(text).map_err(|error| format!("is not a hash in the PHC format: {error}"))?;
        let number = |name: &str| hash.params.get_decimal(name);
        let kind = match hash.algorithm.as_str() {
            "argon2id" | "argon2i" | "argon2d" => Self::argon2(&hash)?,
            "scrypt" => {
                let log_n = number("ln").and_then(|log_n| u8::try_from(log_n).ok());
                let (log_n, block, lanes) = log_n
                    .zip(number("r"))
                    .zip(number("p"))
                    .map(|((log_n, block), lanes)| (log_n, block, lanes))
                    .filter(|(_, block, lanes)| block.checked_mul(*lanes).is_some())
                    .filter(|(log_n, block, lanes)| scrypt::Params::new(*log_n, *block, *lanes).is_ok())
                    .ok_or("lacks valid parameters of scrypt: ln, r and p")?;
                Kind::Scrypt { log_n, block, lanes }
            }
            name => {
                let digest = Digest::named(name).ok_or(UNKNOWN)?;
                let iterations = number("i").and_then(NonZeroU32::new).ok_or("lacks the iterations of PBKDF2: i")?;
                Kind::Pbkdf2 { digest, iterations }
            }
        };
        let mut salt = [0; MAX_SALT_BYTES];
        let salt = hash.salt.as_ref().and_then(|text| text.decode_b64(&mut salt).ok());
        let (salt, output) = salt.zip(hash.hash).ok_or("lacks a salt or an output")?;
        Self { kind, salt: salt.to_vec(), output: output.as_bytes().to_vec() }.checked()
    }

    fn argon2(hash: &PasswordHash<'_>) -> Result<Kind, String> {
        if ["m", "t", "p"].iter().any(|name| hash.params.get_decimal(*name).is_none()) {
            return Err("lacks a parameter of argon2: m, t or p".to_owned());
        }
        let params = Params::try_from(hash).map_err(|error| format!("has parameters that argon2 lacks: {error}"))?;
        if !params.keyid().is_empty() || !params.data().is_empty() {
            return Err("needs a key or data beside the password".to_owned());
        }
        let variant = Algorithm::try_from(hash.algorithm).map_err(|_| UNKNOWN)?;
        // The reference implementation omits the version of 2015.
        let version = hash.version.map_or(Ok(Version::V0x10), Version::try_from);
        let version = version.map_err(|_| "has a version that argon2 lacks")?;
        let (memory_kib, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
        Ok(Kind::Argon2 { variant, version, memory_kib, passes, lanes })
    }

    /// Checks the lengths of the salt and the output, and takes the first block of an output of PBKDF2, which alone depends on
    /// the whole password.
    pub(super) fn checked(mut self) -> Result<Self, String> {
        let min_salt = match self.kind {
            Kind::Argon2 { .. } => argon2::MIN_SALT_LEN,
            _ => 3,
        };
        if !(min_salt..=MAX_SALT_BYTES).contains(&self.salt.len()) {
            return Err(format!("must have a salt of {min_salt} to {MAX_SALT_BYTES} bytes"));
        }
        if let Kind::Pbkdf2 { digest, .. } = self.kind {
            self.output.truncate(digest.bytes());
        }
        if !(10..=MAX_OUTPUT_BYTES).contains(&self.output.len()) {
            return Err(format!("must have an output of 10 to {MAX_OUTPUT_BYTES} bytes"));
        }
        Ok(self)
    }

    /// Returns the stored form of a hash of a kind that no password matches.
    pub(crate) fn dummy(kind: &str) -> Option<String> {
        let rest = if kind.starts_with("$2b$") {
            "N2ViOTQ2YzE3ZGYwNTFhYOk1x0rM3TzJv3eQm7cX3o1s5sZs1o9l."
        } else {
            "N2ViOTQ2YzE3ZGYwNTFhYg$k1x0rM3TzJv3eQm7cX3o1g"
        };
        let text = format!("{kind}${rest}");
        Self::parse(&text).ok().map(|_| text)
    }

    /// Returns whether the hash is that of a password.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if there is not enough memory.
    pub(crate) fn matches(&self, password: &str) -> Result<bool> {
        let (text, mut output) = (password.as_bytes(), vec![0; self.output.len()]);
        let mut is_readable = true;
        match self.kind {
            Kind::Argon2 { variant, version, memory_kib, passes, lanes } => {
                let params = Params::new(memory_kib, passes, lanes, None).map_err(failed)?;
                let argon2 = Argon2::new(variant, version, params);
                argon2.hash_password_into(text, &self.salt, &mut output).map_err(failed)?;
            }
            Kind::Bcrypt { cost } => {
                // Some programs end the password at a NUL, others do not: such a password matches no hash.
                is_readable = !text.contains(&0);
                let mut key = [text, &[0]].concat();
                key.truncate(BCRYPT_BYTES);
                let salt = <[u8; BCRYPT_SALT_BYTES]>::try_from(self.salt.as_slice()).map_err(failed)?;
                output.copy_from_slice(&bcrypt::bcrypt(cost, salt, &key)[..BCRYPT_OUTPUT_BYTES]);
            }
            Kind::Scrypt { log_n, block, lanes } => {
                let params = scrypt::Params::new(log_n, block, lanes).map_err(failed)?;
                scrypt::scrypt(text, &self.salt, &params, &mut output).map_err(failed)?;
            }
            Kind::Pbkdf2 { digest, iterations } => {
                pbkdf2::derive(digest.algorithm(), iterations, &self.salt, text, &mut output);
            }
        }
        Ok(bool::from(output.ct_eq(&self.output)) && is_readable)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, salt, output } = self;
        match kind {
            Kind::Bcrypt { .. } => write!(f, "{kind}${}{}", BCRYPT_BASE64.encode(salt), BCRYPT_BASE64.encode(output)),
            _ => write!(f, "{kind}${}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output)),
        }
    }
}

/// The fault of a hash of an unknown scheme.
pub(super) const UNKNOWN: &str = "is not a hash of argon2, bcrypt, scrypt or PBKDF2 in a known format";

fn failed(error: impl fmt::Display) -> Error {
    Error::internal(anyhow::anyhow!("a password hash: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dummy_has_the_kind_and_matches_nothing() {
        for kind in [
            "$argon2id$v=19$m=7168,t=5,p=1",
            "$argon2i$v=16$m=64,t=2,p=2",
            "$2b$04",
            "$scrypt$ln=4,r=8,p=1",
            "$pbkdf2$i=10",
            "$pbkdf2-sha256$i=10",
            "$pbkdf2-sha512$i=10",
        ] {
            let dummy = Hash::parse(&Hash::dummy(kind).expect(kind)).expect(kind);
            assert_eq!(dummy.kind.to_string(), kind);
            assert!(!dummy.matches("correct horse battery").expect("hashes"), "{kind}");
        }
        for unknown in ["", "$", "$2b$32", "$2b$03", "$md5", "$argon2id$v=19", "$argon2id$v=18$m=64,t=1,p=1", "$2x$04"]
        {
            assert_eq!(Hash::dummy(unknown), None, "{unknown}");
        }
    }
}

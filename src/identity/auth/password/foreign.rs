//! Hashes of other programs in their own formats, which an import converts to the stored form.

use std::num::NonZeroU32;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

use super::hash::{Digest, Hash, Kind, UNKNOWN};

/// Converts a hash of another program to the stored form: PHC strings of argon2, scrypt and PBKDF2; bcrypt's `$2a$`, `$2b$` and
/// `$2y$`, which mean the same for a password in UTF-8; and the formats of
/// passlib, Django and ASP.NET Core Identity (version 3).
///
/// # Errors
/// What is wrong with the hash, as the end of a sentence that begins with its name.
pub fn convert(text: &str) -> Result<String, String> {
    let hash = read(text)?;
    hash.kind.check()?;
    let text = hash.to_string();
    // What is stored must be readable at each sign-in.
    Hash::parse(&text).map(|_| text)
}

fn read(text: &str) -> Result<Hash, String> {
    let text = match text.split_once('$') {
        // Django names the scheme before the string.
        Some(("argon2" | "bcrypt", rest)) => rest,
        _ => text,
    };
    // Django's argon2 has lost its first separator with the name.
    let joined = format!("${text}");
    let text = if text.starts_with("argon2") { joined.as_str() } else { text };
    let parts: Vec<_> = text.split('$').collect();
    match *parts.as_slice() {
        ["", "2a" | "2b" | "2y", cost, rest] => Hash::bcrypt(cost, rest),
        ["", name, iterations, salt, output] if name.starts_with("pbkdf2") && !iterations.contains('=') => {
            // passlib writes "." for "+".
            let bytes = |text: &str| STANDARD_NO_PAD.decode(text.replace('.', "+")).map_err(|_| UNKNOWN.to_owned());
            pbkdf2(name, iterations, bytes(salt)?, bytes(output)?)
        }
        [name @ ("pbkdf2_sha1" | "pbkdf2_sha256"), iterations, salt, output] => {
            pbkdf2(name, iterations, salt.as_bytes().to_vec(), STANDARD.decode(output).map_err(|_| UNKNOWN)?)
        }
        ["scrypt", n, salt, block, lanes, output] => {
            let number = |text: &str| text.parse::<u32>().map_err(|_| UNKNOWN.to_owned());
            let n = number(n)?;
            if !n.is_power_of_two() {
                return Err("has an N of scrypt that is not a power of two".to_owned());
            }
            let log_n = u8::try_from(n.ilog2()).map_err(|_| UNKNOWN)?;
            let kind = Kind::Scrypt { log_n, block: number(block)?, lanes: number(lanes)? };
            let output = STANDARD.decode(output).map_err(|_| UNKNOWN)?;
            Hash { kind, salt: salt.as_bytes().to_vec(), output }.checked()
        }
        [bytes] if !bytes.is_empty() => {
            STANDARD.decode(bytes).ok().and_then(|bytes| aspnet(&bytes)).ok_or(UNKNOWN)?.checked()
        }
        ["", ..] => Hash::parse(text),
        _ => Err(UNKNOWN.to_owned()),
    }
}

fn pbkdf2(name: &str, iterations: &str, salt: Vec<u8>, output: Vec<u8>) -> Result<Hash, String> {
    let iterations = iterations.parse().ok().and_then(NonZeroU32::new);
    let (digest, iterations) = Digest::named(name).zip(iterations).ok_or(UNKNOWN)?;
    Hash { kind: Kind::Pbkdf2 { digest, iterations }, salt, output }.checked()
}

/// Reads version 3 of ASP.NET Core Identity: 1, the number of the hash function, the iterations and the length of the salt as
/// big-endian numbers, the salt and the output.
fn aspnet(bytes: &[u8]) -> Option<Hash> {
    let number = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let digest = match (bytes.first()?, number(1)?) {
        (1, 0) => Digest::Sha1,
        (1, 1) => Digest::Sha256,
        (1, 2) => Digest::Sha512,
        _ => return None,
    };
    let (salt, output) = bytes.get(13..)?.split_at_checked(usize::try_from(number(9)?).ok()?)?;
    let kind = Kind::Pbkdf2 { digest, iterations: NonZeroU32::new(number(5)?)? };
    Some(Hash { kind, salt: salt.to_vec(), output: output.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::auth::password::{Match, Password, is_outdated};

    const PASSWORD: &str = "correct horse battery";

    fn verify(hash: &str, password: &str) -> Option<Match> {
        let stored = convert(hash).expect(hash);
        assert!(is_outdated(&stored), "{stored}");
        Password::attempt(password.into()).verify(&stored).expect("a hash")
    }

    /// The hashes are those of libxcrypt, of OpenSSL in Python's hashlib, and of the reference implementation of argon2.
    #[test]
    fn a_hash_of_another_program_verifies_its_password_alone() {
        for hash in [
            "$2a$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.",
            "$2b$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.",
            "$2y$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.",
            "bcrypt$$2b$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.",
            "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$fXnS5Awj6eMC+z1SbPBpyxEKbW7GHGyuCeVjw7IJSMI",
            "scrypt$1024$saltsaltsalt$8$1$efPjhLsc6g6F87C4r8JW+Ndthiq2j1fCZEA8arGU0o3/TjGA65EPRYx1wTd/gdXDlUret5ZYlZXfFAAA26fydg==",
            "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$Cf9xjlisAEzRbMZsosxST/5+wkpfUV6uoqiZkYtP6iQ",
            "$pbkdf2-sha512$1000$c2FsdHNhbHRzYWx0c2FsdA$lYhPheApeiwq3tKG8A.KHC4iQ8mmHXFAKab1ywrJ5QhG73jAKAyVeLsbqTYH/KNRnW0OYbntj3FPNcXf3GKcRg",
            "$pbkdf2$1000$c2FsdHNhbHRzYWx0c2FsdA$NcA2jyIs3HUlQRwFRhBCuXxEFJk",
            "$pbkdf2$i=1000$c2FsdHNhbHRzYWx0c2FsdA$NcA2jyIs3HUlQRwFRhBCuXxEFJmhZv4hijtyzu2Gp3+6i8FfEDFQ9tJJUdK1M1qxRwb7PuF1eRl7uyPVDEdEEA",
            "pbkdf2_sha256$1000$saltsaltsalt$GacV8oEzUl3KM0Mwey9yrMcTPKpkL4jXrFpbKB8oOnI=",
            "AQAAAAIAAAPoAAAAEHNhbHRzYWx0c2FsdHNhbHSViE+F4Cl6LCre0obwD4ocLiJDyaYdcUAppvXLCsnlCA==",
            "pbkdf2_sha1$1000$saltsaltsalt$bXetuqXv3xEiqmlwhuj1G8h56R4=",
        ] {
            assert_eq!(verify(hash, PASSWORD), Some(Match::Normalized), "{hash}");
            assert_eq!(verify(hash, "correct horse batterY"), None, "{hash}");
            assert_eq!(verify(hash, ""), None, "{hash}");
        }
        for hash in [
            "$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG",
            "argon2$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG",
            "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
        ] {
            assert_eq!(verify(hash, "password"), Some(Match::Normalized), "{hash}");
            assert_eq!(verify(hash, "Password"), None, "{hash}");
        }
    }

    /// bcrypt reads 72 bytes. A NUL ends the password in some programs, and is a part of it in others.
    #[test]
    fn bcrypt_reads_a_part_of_the_password() {
        let long = "$2b$05$abcdefghijklmnopqrstuujf8SX2ahXLwp9w/B.Y5XdysS6yR576q";
        assert_eq!(verify(long, &"x".repeat(80)), Some(Match::Normalized));
        assert_eq!(verify(long, &"x".repeat(72)), Some(Match::Normalized));
        assert_eq!(verify(long, &"x".repeat(71)), None);
        let short = "$2b$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.";
        assert_eq!(verify(short, &format!("{PASSWORD}\0more")), None);
        assert_eq!(verify(short, &format!("{PASSWORD}\0")), None);
    }

    /// Other programs hash what was sent.
    #[test]
    fn a_hash_may_be_of_a_text_that_is_not_normalized() {
        let (composed, decomposed) = ("gr\u{fc}ne Stra\u{df}e 12", "gru\u{308}ne Stra\u{df}e 12");
        let of_composed = "$2b$05$abcdefghijklmnopqrstuukw3IE8Ae0HFlDiTztz/IZPbj52EGOXa";
        let of_decomposed = "$2b$05$abcdefghijklmnopqrstuu6w3dYNfAxE5CdsVy7lUFeSQ4y2VFrJm";
        assert_eq!(verify(of_composed, composed), Some(Match::Normalized));
        assert_eq!(verify(of_composed, decomposed), Some(Match::Normalized));
        assert_eq!(verify(of_decomposed, decomposed), Some(Match::Sent));
        assert_eq!(verify(of_decomposed, composed), None);
    }

    #[test]
    fn a_hash_out_of_bounds_is_refused() {
        for (hash, fault) in [
            ("$2b$31$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.", "the cost 31 of bcrypt; at most 14"),
            ("$2b$32$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.", "no cost of bcrypt from 04 to 31"),
            ("$2b$5$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.", "no cost of bcrypt"),
            ("$2b$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ", "53 characters"),
            ("$2x$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.", "PHC"),
            ("$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub", "4194304 KiB of memory"),
            ("$argon2id$v=19$m=131072,t=5,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub", "5 passes"),
            ("$argon2id$v=19$m=1024,t=1,p=17$c29tZXNhbHQ$RdescudvJCsgt3ub", "17 lanes"),
            ("$argon2id$v=18$m=1024,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub", "version"),
            ("$argon2id$v=19$m=1024,t=1,p=1,keyid=AAAA$c29tZXNhbHQ$RdescudvJCsgt3ub", "a key or data"),
            ("$argon2id$v=19$m=1024,t=1,p=1$c29t$RdescudvJCsgt3ub", "a salt of 8 to 48 bytes"),
            ("$argon2id$v=19$m=1024,t=1,p=1", "a salt or an output"),
            ("$scrypt$ln=20,r=8,p=1$c2FsdHNhbHQ$RdescudvJCsgt3ub", "1048576 KiB of memory"),
            ("$scrypt$ln=17,r=8,p=5$c2FsdHNhbHQ$RdescudvJCsgt3ub", "5 passes"),
            ("$scrypt$ln=1,r=4096,p=1$c2FsdHNhbHQ$RdescudvJCsgt3ub", "the block size 4096"),
            ("$scrypt$ln=99,r=8,p=1$c2FsdHNhbHQ$RdescudvJCsgt3ub", "parameters of scrypt"),
            ("scrypt$1000$salt$8$1$RdescudvJCsgt3ub", "not a power of two"),
            ("pbkdf2_sha256$2000001$saltsaltsalt$GacV8oEzUl3KM0Mwey9yrMcTPKpkL4jXrFpbKB8oOnI=", "2000001 iterations"),
            ("$pbkdf2-sha256$i=0$c2FsdHNhbHQ$RdescudvJCsgt3ub", "the iterations of PBKDF2"),
            ("$6$rounds=5000$salt$hash", "PHC"),
            (
                "AQAAAAkAAAPoAAAAEHNhbHRzYWx0c2FsdHNhbHSViE+F4Cl6LCre0obwD4ocLiJDyaYdcUAppvXLCsnlCA==",
                "argon2, bcrypt, scrypt or PBKDF2",
            ),
            ("AQAAAAIAAAPo/////3NhbHQ=", "argon2, bcrypt, scrypt or PBKDF2"),
            ("5f4dcc3b5aa765d61d8327deb882cf99", "argon2, bcrypt, scrypt or PBKDF2"),
            ("$argon2id$v=19$m=1024$c29tZXNhbHQ$RdescudvJCsgt3ub", "a parameter of argon2"),
            ("$scrypt$ln=4,r=2147483648,p=2$c2FsdHNhbHQ$RdescudvJCsgt3ub", "parameters of scrypt"),
            ("", "PHC"),
        ] {
            let refused = convert(hash).expect_err(hash);
            assert!(refused.contains(fault), "{hash}: {refused}");
        }
    }
}

//! What the name of a field, variable or flag says about its value.

/// How a value must look that stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A password or secret that people choose: any value that is no word of code.
    Password,
    /// Several words are allowed.
    Phrase,
    /// A token: drawn at random.
    Token,
    /// A key of an interface: drawn at random.
    Key,
    /// A name that secrets share with much else: drawn at random beyond doubt.
    Weak,
}

const PASSWORDS: &[&str] = &[
    "password",
    "passwd",
    "passwort",
    "kennwort",
    "pwd",
    "pass",
    "pswd",
    "psw",
    "pw",
    "passcode",
    "secret",
    "mdp",
    "motdepasse",
    "mot de passe",
    "contraseña",
    "contrasena",
    "clave",
    "senha",
    "wachtwoord",
    "hasło",
    "haslo",
    "lösenord",
    "losenord",
    "passord",
    "adgangskode",
    "kodeord",
    "salasana",
    "parola",
    "heslo",
    "jelszó",
    "şifre",
    "пароль",
    "пароля",
    "секрет",
    "パスワード",
    "密码",
    "密碼",
    "口令",
    "비밀번호",
    "暗証番号",
    "identified by",
    "credential",
    "credentials",
    "creds",
    "passkey",
    "userpassword",
    "dbpassword",
    "rootpassword",
    "adminpassword",
    "dbpass",
    "mypassword",
    "clientsecret",
    "appsecret",
    "apisecret",
    "sharedsecret",
    "secretaccesskey",
    "secretkey",
    "サークレット",
    "シークレット",
    "secreto",
    "geheimnis",
    "passordet",
    "lösenordet",
    "adgangskoden",
    "kodeordet",
    "salasanani",
    "salasanasi",
    "jelszavam",
    "jelszavad",
    "şifrem",
    "şifresi",
    "şifreniz",
    "lozinka",
    "лозинка",
    "κωδικός",
    "geslo",
    "parole",
    "slaptažodis",
    "parool",
    "mật khẩu",
    "kata sandi",
    "unlock code",
    "access code",
    "door code",
    "gate code",
    "alarm code",
    "safe code",
    "pin code",
    "code wifi",
    "segreto",
    "segredo",
];
const TOKENS: &[&str] = &[
    "token",
    "authtoken",
    "accesstoken",
    "refreshtoken",
    "bearertoken",
    "idtoken",
    "sessiontoken",
    "jwt",
    "pat",
    "bearer",
    "authorization",
    "auth",
    "cookie",
    "sessionid",
    "sessid",
    "phpsessid",
    "jsessionid",
    "токен",
    "トークン",
    "令牌",
    "토큰",
    "jeton",
];
const KEYS: &[&str] = &[
    "apikey",
    "accesskey",
    "authkey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "servicekey",
    "accountkey",
    "storagekey",
    "sharedkey",
    "sharedaccesskey",
    "licensekey",
    "appkey",
    "clientkey",
    "sessionkey",
    "subscriptionkey",
    "ключ",
    "密钥",
    "apiキー",
    "api密钥",
];
/// The same in several words, whole.
const KEY_PHRASES: &[&str] = &[
    "api schlüssel",
    "api schlüssels",
    "clé api",
    "clé d'api",
    "clé secrète",
    "chiave api",
    "clave api",
    "chave api",
    "chave da api",
    "chave de api",
    "klucz api",
    "api nyckel",
    "api nyckeln",
    "api nøkkel",
    "api nøkkelen",
    "api nøgle",
    "api nøglen",
    "api sleutel",
    "api avain",
    "api anahtarı",
    "ключ api",
    "api ключ",
    "api 키",
];
/// Words that make a `key` secret.
const KEY_OWNERS: &[&str] = &[
    "api",
    "access",
    "secret",
    "private",
    "signing",
    "sign",
    "encryption",
    "encrypt",
    "master",
    "auth",
    "service",
    "account",
    "storage",
    "shared",
    "license",
    "licence",
    "webhook",
    "app",
    "client",
    "session",
    "subscription",
    "deploy",
    "hmac",
    "jwt",
    "crypto",
    "cipher",
    "aes",
    "admin",
    "server",
    "integration",
    "write",
    "read",
    "ingest",
    "function",
    "functions",
    "maps",
    "openai",
    "anthropic",
    "gemini",
    "stripe",
    "sendgrid",
    "mailgun",
    "twilio",
    "datadog",
    "algolia",
    "pusher",
    "cohere",
    "mistral",
    "groq",
    "sentry",
    "newrelic",
    "cloudflare",
    "firebase",
    "segment",
];
/// Words at the end of a name that change nothing.
const TAILS: &[&str] = &[
    "value",
    "val",
    "prod",
    "production",
    "dev",
    "development",
    "test",
    "testing",
    "staging",
    "stage",
    "live",
    "main",
    "primary",
    "secondary",
    "default",
    "new",
    "old",
    "current",
    "backup",
    "base64",
    "b64",
    "plain",
    "plaintext",
    "raw",
    "v1",
    "v2",
    "v3",
    "1",
    "2",
    "3",
    "0",
    "confirm",
    "confirmation",
    "again",
    "env",
    "local",
    "base",
];
const WEAK: &[&str] = &["key", "salt", "signature", "sig", "seed", "hash"];
const PHRASES: &[&str] = &["passphrase", "seed phrase", "recovery phrase", "mnemonic"];

/// The class of a `key` in prose by the word before it: `the wifi key`, `our integration key`.
pub(super) fn owned_key(owner: &str) -> Class {
    match owner.to_lowercase().as_str() {
        "wifi" | "wi-fi" | "wlan" | "wpa" | "wpa2" | "network" => Class::Password,
        owner if KEY_OWNERS.contains(&owner) => Class::Key,
        _ => Class::Weak,
    }
}

/// The class of a name, if secrets stand under such names.
pub(super) fn class(name: &str) -> Option<Class> {
    let words = words(name);
    let mut count = words.len();
    while 1 < count
        && words
            .get(count - 1)
            .is_some_and(|word| TAILS.contains(&word.as_str()) || word.bytes().all(|byte| byte.is_ascii_digit()))
    {
        count -= 1;
    }
    let last = words.get(count.checked_sub(1)?)?.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let owner = count.checked_sub(2).and_then(|i| words.get(i)).map_or("", String::as_str);
    let joined = format!("{owner}{last}");
    let spaced = words.join(" ");
    if PHRASES.iter().any(|phrase| spaced.ends_with(phrase))
        || matches!(joined.as_str(), "seedphrase" | "recoveryphrase")
    {
        return Some(Class::Phrase);
    }
    if KEY_PHRASES.contains(&spaced.as_str()) {
        return Some(Class::Key);
    }
    // Public keys are no secrets.
    if matches!(owner, "public" | "pub" | "publishable" | "host") || joined.starts_with("publickey") {
        return None;
    }
    if words.starts_with(&["tf".to_owned(), "token".to_owned()]) {
        return Some(Class::Token);
    }
    let whole =
        PASSWORDS.iter().any(|name| name.contains(' ') && spaced.ends_with(name)) || spaced.ends_with("session id");
    if KEYS.contains(&last) || KEYS.contains(&joined.as_str()) || (last == "key" && KEY_OWNERS.contains(&owner)) {
        let chosen = owner == "secret" || last == "secretkey";
        return Some(if chosen { Class::Password } else { Class::Key });
    }
    if PASSWORDS.contains(&last) || whole {
        return Some(Class::Password);
    }
    if TOKENS.contains(&last) || (joined == "sessionid") {
        return Some(Class::Token);
    }
    (WEAK.contains(&last) && count != 1).then_some(Class::Weak)
}

/// A name's words in small letters: of `snake_case`, `kebab-case`, `dotted.names`, `camelCase`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let letters: Vec<char> = name.chars().collect();
    for (i, letter) in letters.iter().enumerate() {
        let previous = i.checked_sub(1).and_then(|i| letters.get(i)).copied().unwrap_or(' ');
        let next = letters.get(i + 1).copied().unwrap_or(' ');
        let mark = matches!(letter, '_' | '-' | '.' | ' ' | '\u{a0}' | '/' | ':');
        let hump =
            letter.is_uppercase() && (previous.is_lowercase() || (previous.is_uppercase() && next.is_lowercase()));
        if mark || hump {
            words.push(String::new());
        }
        if !mark && let Some(word) = words.last_mut() {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_stands_under_them() {
        let cases: &[(&str, Option<Class>)] = &[
            ("password", Some(Class::Password)),
            ("DB_PASSWORD_PROD", Some(Class::Password)),
            ("spring.datasource.password", Some(Class::Password)),
            ("clientSecret", Some(Class::Password)),
            ("X-API-Key", Some(Class::Key)),
            ("OPENAI_KEY", Some(Class::Key)),
            ("apiKey2", Some(Class::Key)),
            ("_authToken", Some(Class::Token)),
            ("mot de passe", Some(Class::Password)),
            ("cache_key", Some(Class::Weak)),
            ("key", None),
            ("SECRET_KEY_BASE", Some(Class::Password)),
            ("public_key", None),
            ("Passordet", Some(Class::Password)),
            ("API-Schlüssel", Some(Class::Key)),
            ("TF_TOKEN_app_terraform_io", Some(Class::Token)),
            ("tokens_per_minute", None),
            ("secretName", None),
            ("password_policy", None),
            ("max_tokens", None),
            ("passwordless", None),
        ];
        for (name, expected) in cases {
            assert_eq!(class(name), *expected, "{name}");
        }
    }
}

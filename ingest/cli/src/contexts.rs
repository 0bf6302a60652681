//! The contexts of an operator: which server, the authority to trust, and the token, under a name.
//!
//! They are in `$XDG_CONFIG_HOME/muster/contexts.toml`, by default in `~/.config`, a file that only its owner may read.
//! A secret is never shown. Environment variables can take the place of a context, as scripts and containers need it.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The variable with the name of a context.
pub(crate) const CONTEXT_VARIABLE: &str = "MUSTER_CONTEXT";

/// The variable with the URL of a server, which replaces the contexts.
const SERVER_VARIABLE: &str = "MUSTER_SERVER";

/// The variable with the authority of that server.
const CA_VARIABLE: &str = "MUSTER_CA";

/// The variable with the token for it.
const TOKEN_VARIABLE: &str = "MUSTER_TOKEN";

/// The variable with the file of the token.
const TOKEN_FILE_VARIABLE: &str = "MUSTER_TOKEN_FILE";

/// Longest secret: JSON web tokens with many groups are long.
const SECRET_BYTES_MAX: usize = 32 << 10;

/// Longest name of a context.
const NAME_BYTES_MAX: usize = 64;

/// Why contexts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The operator names a context, or makes one.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("{0}")]
    File(String),
    /// The file is not one of contexts, or others may read it. The operator must act.
    #[error("{0}")]
    Invalid(String),
}

/// The URL of an API, `https://HOST:PORT`; it may be given without the scheme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ApiUrl(String);

impl ApiUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApiUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let authority = text.strip_prefix("https://").unwrap_or(text);
        let authority = authority.trim_end_matches('/');
        let is_plain = authority.bytes().all(|byte| byte.is_ascii_graphic());
        let has_more = authority.contains(['/', '?', '#', '@']);
        if authority.is_empty() || !is_plain || has_more {
            return Err("it must be like https://muster.example.org:7443".to_owned());
        }
        Ok(Self(format!("https://{authority}")))
    }
}

impl TryFrom<String> for ApiUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ApiUrl> for String {
    fn from(url: ApiUrl) -> Self {
        url.0
    }
}

/// The name of a context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ContextName(String);

impl ContextName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContextName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(is_allowed) {
            return Err(format!(
                "it must have 1 to {NAME_BYTES_MAX} letters, digits, dots, hyphens or underscores"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ContextName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ContextName> for String {
    fn from(name: ContextName) -> Self {
        name.0
    }
}

/// The secret of a token. Never shown.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Secret(String);

impl Secret {
    /// The secret, for the header of a request.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(..)")
    }
}

impl TryFrom<String> for Secret {
    type Error = String;

    /// The message does not quote the secret.
    fn try_from(text: String) -> Result<Self, String> {
        let text = text.trim();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > SECRET_BYTES_MAX || !is_plain {
            return Err(format!(
                "a token is one line of at most {SECRET_BYTES_MAX} printable characters"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> Self {
        secret.0
    }
}

/// Where requests go, and who sends them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    pub(crate) server: ApiUrl,
    /// The PEM file of the authority that issued the certificate of the server.
    pub(crate) ca: PathBuf,
    pub(crate) token: Secret,
}

/// All contexts.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that commands use.
    pub(crate) current: Option<ContextName>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<ContextName, Context>,
}

impl Contexts {
    /// Reads them; none if there is no file.
    pub(crate) fn load() -> Result<Self, ContextError> {
        let file = path()?;
        let shown = file.display();
        let unreadable =
            |error: std::io::Error| ContextError::File(format!("cannot read {shown}: {error}"));
        let text = match std::fs::read_to_string(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            read => read.map_err(unreadable)?,
        };
        let mode = std::fs::metadata(&file).map_err(unreadable)?.permissions();
        if mode.mode() & 0o077 != 0 {
            return Err(ContextError::Invalid(format!(
                "others may read the tokens in {shown}: chmod 600 it, and replace the tokens if others are on this machine"
            )));
        }
        // The message of the parser may quote a secret.
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.split('\n').count());
            let problem = format!("line {line} of {shown} is not one of a file of contexts");
            ContextError::Invalid(problem)
        })
    }

    /// Writes them: the file is replaced as a whole, so no reader sees a half.
    pub(crate) fn save(&self) -> Result<(), ContextError> {
        let file = path()?;
        let failed = |error: std::io::Error| {
            ContextError::File(format!("cannot write {}: {error}", file.display()))
        };
        let text = toml::to_string(self).map_err(|error| failed(std::io::Error::other(error)))?;
        let directory = file.parent().unwrap_or_else(|| Path::new("/"));
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(directory);
        made.map_err(failed)?;
        // Only its owner may read a temporary file.
        let mut written = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        written.write_all(text.as_bytes()).map_err(failed)?;
        written.as_file().sync_all().map_err(failed)?;
        written
            .persist(&file)
            .map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The context with this name, or the current one.
    pub(crate) fn named(
        &self,
        name: Option<&ContextName>,
    ) -> Result<(&ContextName, &Context), ContextError> {
        let Some(name) = name.or(self.current.as_ref()) else {
            return Err(ContextError::Usage(
                "no context is in use: make one with `muster context add`, or choose one with `muster context use`"
                    .to_owned(),
            ));
        };
        self.contexts.get_key_value(name).ok_or_else(|| {
            let name = name.as_str();
            ContextError::Usage(format!(
                "there is no context {name}: see `muster context list`"
            ))
        })
    }
}

/// The file with the contexts.
pub(crate) fn path() -> Result<PathBuf, ContextError> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let home = || absolute("HOME").map(|home| home.join(".config"));
    let folder = absolute("XDG_CONFIG_HOME").or_else(home);
    let folder = folder.ok_or_else(|| {
        ContextError::Usage("set HOME or XDG_CONFIG_HOME: contexts are below it".to_owned())
    })?;
    Ok(folder.join("muster").join("contexts.toml"))
}

/// The context of a command: the one that is named; otherwise that of the environment; otherwise the current one.
pub(crate) fn resolve(name: Option<&ContextName>) -> Result<Context, ContextError> {
    if name.is_none()
        && let Some(context) = of_environment()?
    {
        return Ok(context);
    }
    let of_variable = match (name, variable(CONTEXT_VARIABLE)?) {
        (None, Some(text)) => {
            let parsed = text.parse();
            Some(parsed.map_err(|problem| wrong(CONTEXT_VARIABLE, problem))?)
        }
        _ => None,
    };
    let contexts = Contexts::load()?;
    let (_, context) = contexts.named(name.or(of_variable.as_ref()))?;
    Ok(context.clone())
}

fn wrong(variable: &str, problem: String) -> ContextError {
    ContextError::Usage(format!(
        "the environment variable {variable} is wrong: {problem}"
    ))
}

/// A variable of the environment; an empty one is none.
fn variable(name: &str) -> Result<Option<String>, ContextError> {
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = value.into_string();
    text.map(Some)
        .map_err(|_| wrong(name, "it is not UTF-8".to_owned()))
}

/// The context in the environment. It takes nothing from the file, so no token reaches a server that it is not for.
fn of_environment() -> Result<Option<Context>, ContextError> {
    let Some(server) = variable(SERVER_VARIABLE)? else {
        return Ok(None);
    };
    let server = server.parse();
    let server = server.map_err(|problem| wrong(SERVER_VARIABLE, problem))?;
    let missing = |name| {
        let message =
            format!("the environment variable {name} is missing: {SERVER_VARIABLE} needs it");
        ContextError::Usage(message)
    };
    let ca = variable(CA_VARIABLE)?.ok_or_else(|| missing(CA_VARIABLE))?;
    let token = match (variable(TOKEN_VARIABLE)?, variable(TOKEN_FILE_VARIABLE)?) {
        (Some(text), _) => {
            let secret = Secret::try_from(text);
            secret.map_err(|problem| wrong(TOKEN_VARIABLE, problem))?
        }
        (None, Some(file)) => secret_of(Path::new(&file))?,
        (None, None) => return Err(missing(TOKEN_FILE_VARIABLE)),
    };
    let ca = PathBuf::from(ca);
    Ok(Some(Context { server, ca, token }))
}

/// The secret in a file.
pub(crate) fn secret_of(file: &Path) -> Result<Secret, ContextError> {
    let shown = file.display();
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| ContextError::File(format!("cannot read {shown}: {error}")))?;
    Secret::try_from(text).map_err(|problem| ContextError::Invalid(format!("{shown}: {problem}")))
}

#[cfg(test)]
mod tests {
    use super::{ApiUrl, Context, ContextName, Contexts, Secret};

    #[test]
    fn a_server_is_named_by_host_and_port_with_or_without_its_scheme() {
        for (text, url) in [
            ("https://localhost:7443/", "https://localhost:7443"),
            ("muster.example.org:7443", "https://muster.example.org:7443"),
            ("[::1]:7443", "https://[::1]:7443"),
        ] {
            assert_eq!(text.parse(), Ok(ApiUrl(url.to_owned())), "{text}");
        }
        for text in [
            "",
            "http://a:1",
            "https://",
            "https://a/v1.0",
            "https://u@h",
            "a b",
        ] {
            assert!(text.parse::<ApiUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_context_is_read_as_it_was_written_and_never_shows_its_secret() {
        let name: ContextName = "contoso.eu-1".parse().unwrap();
        let context = Context {
            server: "https://localhost:7443".parse().unwrap(),
            ca: "/etc/muster/ca.pem".into(),
            token: Secret::try_from("muster_secret\n".to_owned()).unwrap(),
        };
        assert!(!format!("{context:?}").contains("muster_secret"));
        let contexts = Contexts {
            current: Some(name.clone()),
            contexts: [(name.clone(), context)].into(),
        };
        let text = toml::to_string(&contexts).unwrap();
        let read: Contexts = toml::from_str(&text).unwrap();
        let (found, context) = read.named(None).unwrap();
        assert_eq!((found, context.token.reveal()), (&name, "muster_secret"));
        assert!(read.named(Some(&"other".parse().unwrap())).is_err());
    }

    #[test]
    fn a_token_of_several_lines_is_refused_without_being_quoted() {
        for text in ["", " \n", "a\nb", "muster_x y", "muster_\u{e4}"] {
            let problem = Secret::try_from(text.to_owned()).unwrap_err();
            assert!(!problem.contains("muster_"), "{problem}");
        }
        for text in ["", "a/b", "a b", "\u{e4}"] {
            assert!(text.parse::<ContextName>().is_err(), "{text}");
        }
    }
}

package keytrustee.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.PrivilegedExceptionAction;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.crypto.key.KeyProvider;
import org.apache.hadoop.crypto.key.KeyProvider.KeyVersion;
import org.apache.hadoop.crypto.key.KeyProvider.Metadata;
import org.apache.hadoop.crypto.key.KeyProviderCryptoExtension;
import org.apache.hadoop.crypto.key.KeyProviderCryptoExtension.EncryptedKeyVersion;
import org.apache.hadoop.crypto.key.KeyProviderFactory;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * Calls Hadoop's key provider for a program that is not written in Java: each line of standard input is a call, each line of
 * standard output its answer, both JSON. It adds nothing to what the provider says and takes nothing away.
 */
public final class Driver {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Map<String, KeyProviderCryptoExtension> PROVIDERS = new HashMap<>();
  private static final Configuration CONF = new Configuration();

  private Driver() {}

  public static void main(String[] args) throws Exception {
    PrintStream answers = System.out;
    System.setOut(System.err); // nothing but answers where answers are read
    BufferedReader calls = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = calls.readLine(); line != null; line = calls.readLine()) {
      answers.write((JSON.writeValueAsString(answer(JSON.readTree(line))) + "\n").getBytes(StandardCharsets.UTF_8));
      answers.flush();
    }
  }

  private static Map<String, Object> answer(JsonNode call) {
    Map<String, Object> answer = new LinkedHashMap<>();
    try {
      UserGroupInformation user = UserGroupInformation.createRemoteUser(call.get("user").asText());
      answer.put("value", user.doAs((PrivilegedExceptionAction<Object>) () -> call(provider(call), call)));
    } catch (Throwable thrown) {
      Throwable cause = thrown instanceof java.lang.reflect.UndeclaredThrowableException ? thrown.getCause() : thrown;
      answer.put("error", cause.getClass().getName());
      answer.put("message", String.valueOf(cause.getMessage()));
    }
    return answer;
  }

  private static KeyProviderCryptoExtension provider(JsonNode call) throws IOException {
    String uri = call.get("uri").asText();
    String key = call.get("user").asText() + " " + uri;
    KeyProviderCryptoExtension known = PROVIDERS.get(key);
    if (known == null) {
      KeyProvider made = KeyProviderFactory.get(URI.create(uri), CONF);
      known = KeyProviderCryptoExtension.createKeyProviderCryptoExtension(made);
      PROVIDERS.put(key, known);
    }
    return known;
  }

  private static Object call(KeyProviderCryptoExtension provider, JsonNode call) throws Exception {
    String name = call.path("name").asText();
    switch (call.get("op").asText()) {
      case "create":
        return call.has("material")
            ? version(provider.createKey(name, bytes(call.get("material")), options(call)))
            : version(provider.createKey(name, options(call)));
      case "roll":
        return call.has("material")
            ? version(provider.rollNewVersion(name, bytes(call.get("material"))))
            : version(provider.rollNewVersion(name));
      case "delete":
        provider.deleteKey(name);
        return null;
      case "invalidate":
        provider.invalidateCache(name);
        return null;
      case "names":
        return provider.getKeys();
      case "metadata":
        return metadata(provider.getMetadata(name));
      case "keysMetadata":
        List<Object> all = new ArrayList<>();
        for (Metadata one : provider.getKeysMetadata(names(call))) {
          all.add(metadata(one));
        }
        return all;
      case "current":
        return version(provider.getCurrentKey(name));
      case "version":
        return version(provider.getKeyVersion(name));
      case "versions":
        List<Object> versions = new ArrayList<>();
        for (KeyVersion one : provider.getKeyVersions(name)) {
          versions.add(version(one));
        }
        return versions;
      case "generate":
        return eek(provider.generateEncryptedKey(name));
      case "decrypt":
        return version(provider.decryptEncryptedKey(eek(call.get("eek"))));
      case "reencrypt":
        return eek(provider.reencryptEncryptedKey(eek(call.get("eek"))));
      case "reencryptBatch":
        List<EncryptedKeyVersion> eeks = new ArrayList<>();
        for (JsonNode one : call.get("eeks")) {
          eeks.add(eek(one));
        }
        provider.reencryptEncryptedKeys(eeks);
        List<Object> again = new ArrayList<>();
        for (EncryptedKeyVersion one : eeks) {
          again.add(eek(one));
        }
        return again;
      default:
        throw new IllegalArgumentException("no such call: " + call.get("op").asText());
    }
  }

  private static KeyProvider.Options options(JsonNode call) {
    KeyProvider.Options options = KeyProvider.options(CONF);
    if (call.has("cipher")) {
      options.setCipher(call.get("cipher").asText());
    }
    if (call.has("bits")) {
      options.setBitLength(call.get("bits").asInt());
    }
    if (call.has("description")) {
      options.setDescription(call.get("description").asText());
    }
    if (call.has("attributes")) {
      Map<String, String> attributes = new LinkedHashMap<>();
      call.get("attributes").fields().forEachRemaining(e -> attributes.put(e.getKey(), e.getValue().asText()));
      options.setAttributes(attributes);
    }
    return options;
  }

  private static String[] names(JsonNode call) {
    List<String> names = new ArrayList<>();
    call.path("names").forEach(n -> names.add(n.asText()));
    return names.toArray(new String[0]);
  }

  private static byte[] bytes(JsonNode base64) throws IOException {
    return base64.binaryValue();
  }

  private static Map<String, Object> version(KeyVersion version) {
    if (version == null) {
      return null;
    }
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("name", version.getName());
    fields.put("versionName", version.getVersionName());
    fields.put("material", version.getMaterial());
    return fields;
  }

  private static Map<String, Object> metadata(Metadata metadata) {
    if (metadata == null) {
      return null;
    }
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("cipher", metadata.getCipher());
    fields.put("bits", metadata.getBitLength());
    fields.put("description", metadata.getDescription());
    fields.put("attributes", metadata.getAttributes());
    fields.put("created", metadata.getCreated().getTime());
    fields.put("versions", metadata.getVersions());
    return fields;
  }

  private static Map<String, Object> eek(EncryptedKeyVersion eek) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("keyName", eek.getEncryptionKeyName());
    fields.put("versionName", eek.getEncryptionKeyVersionName());
    fields.put("iv", eek.getEncryptedKeyIv());
    fields.put("material", eek.getEncryptedKeyVersion().getMaterial());
    return fields;
  }

  private static EncryptedKeyVersion eek(JsonNode fields) throws IOException {
    return EncryptedKeyVersion.createForDecryption(
        fields.get("keyName").asText(), fields.get("versionName").asText(), bytes(fields.get("iv")), bytes(fields.get("material")));
  }
}

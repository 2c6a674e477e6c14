import java.io.FileInputStream;
import java.net.URI;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Get CA_FILE URL...: prints the status of each. Names are checked as HttpsURLConnection does it for Hadoop's client. */
public class Get {
  public static void main(String[] args) throws Exception {
    KeyStore trust = KeyStore.getInstance(KeyStore.getDefaultType());
    trust.load(null, null);
    try (FileInputStream in = new FileInputStream(args[0])) {
      trust.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
    }
    TrustManagerFactory managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    managers.init(trust);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, managers.getTrustManagers(), null);
    for (int i = 1; i < args.length; i++) {
      HttpsURLConnection c = (HttpsURLConnection) URI.create(args[i]).toURL().openConnection();
      c.setSSLSocketFactory(context.getSocketFactory());
      System.out.println(c.getResponseCode());
    }
  }
}

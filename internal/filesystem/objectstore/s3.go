package objectstore

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// s3api is S3, or what speaks its protocol.
type s3api struct {
	mu sync.Mutex
	c  *s3.Client
}

// metaCRC is the metadata key of the object's CRC32C in hexadecimal: not every server that
// speaks S3 keeps or gives the checksum that was sent.
const metaCRC = "flowbeam-crc32c"

func (a *s3api) client(ctx context.Context) (*s3.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.c == nil {
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, delivery.Denied(err)
		}
		a.c = s3.NewFromConfig(cfg, func(o *s3.Options) {
			o.Retryer = aws.NopRetryer{} // Bucket.do retries
			o.DisableLogOutputChecksumValidationSkipped = true
			// We name the checksums that we want; a server that is older than the others
			// refuses them.
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
			if o.BaseEndpoint != nil {
				o.UsePathStyle = true
				if o.Region == "" {
					o.Region = "us-east-1"
				}
			}
		})
	}
	return a.c, nil
}

func (a *s3api) page(ctx context.Context, bucket, prefix, delimiter, token string) ([]Info, []string, string, error) {
	c, err := a.client(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	in := &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix}
	if delimiter != "" {
		in.Delimiter = &delimiter
	}
	if token != "" {
		in.ContinuationToken = &token
	}
	out, err := c.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, nil, "", s3Error(err)
	}
	if out.KeyCount == nil && out.IsTruncated == nil {
		return nil, nil, "", unanswered(errors.New("the reply is no listing"))
	}
	var objects []Info
	for _, o := range out.Contents {
		objects = append(objects, s3Info(aws.ToString(o.Key), aws.ToInt64(o.Size), o.LastModified, o.ETag, nil))
	}
	var prefixes []string
	for _, p := range out.CommonPrefixes {
		prefixes = append(prefixes, aws.ToString(p.Prefix))
	}
	next := ""
	if aws.ToBool(out.IsTruncated) {
		if next = aws.ToString(out.NextContinuationToken); next == "" {
			return nil, nil, "", unanswered(errors.New("a listing that goes on does not say where"))
		}
	}
	return objects, prefixes, next, nil
}

// s3Info is what replies have in common. The generation is made of the ETag, which changes
// with the content.
func s3Info(key string, size int64, modified *time.Time, tag *string, meta map[string]string) Info {
	in := Info{Key: key, Size: size, Modified: aws.ToTime(modified), Tag: aws.ToString(tag), Writer: meta[metaWriter]}
	h := fnv.New64a()
	io.WriteString(h, in.Tag)
	in.Generation = max(1, int64(h.Sum64()>>1))
	if v, err := strconv.ParseUint(meta[metaCRC], 16, 32); err == nil {
		in.CRC, in.HasCRC = uint32(v), true
	}
	return in
}

// checksum takes the store's own CRC32C where it is one of the whole object; that of an
// upload in parts may be one of the parts' checksums.
func (in *Info) checksum(crc *string, kind types.ChecksumType) {
	b, err := base64.StdEncoding.DecodeString(aws.ToString(crc))
	if !in.HasCRC && err == nil && len(b) == 4 && kind != types.ChecksumTypeComposite {
		in.CRC, in.HasCRC = binary.BigEndian.Uint32(b), true
	}
}

func (a *s3api) remove(ctx context.Context, bucket, key string) error {
	c, err := a.client(ctx)
	if err != nil {
		return err
	}
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		err = s3Error(err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (a *s3api) stat(ctx context.Context, bucket, key string) (Info, error) {
	c, err := a.client(ctx)
	if err != nil {
		return Info{}, err
	}
	out, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return Info{}, s3Error(err)
	}
	if out.ETag == nil || out.ContentLength == nil {
		return Info{}, errNoTag
	}
	in := s3Info(key, aws.ToInt64(out.ContentLength), out.LastModified, out.ETag, out.Metadata)
	in.checksum(out.ChecksumCRC32C, out.ChecksumType)
	return in, nil
}

// errNoTag is a reply that is none of S3: a proxy's page, say.
var errNoTag = unanswered(errors.New("the reply has no ETag or no length"))

func (a *s3api) get(ctx context.Context, bucket, key string, offset int64, of Info) (*body, error) {
	c, err := a.client(ctx)
	if err != nil {
		return nil, err
	}
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if offset > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	if of.Tag != "" {
		in.IfMatch = &of.Tag
	}
	out, err := c.GetObject(ctx, in)
	if s3Code(err) == "InvalidRange" {
		in, err := a.stat(ctx, bucket, key)
		return &body{http.NoBody, in}, err
	}
	if err != nil {
		if err = s3Error(err); errors.Is(err, errTaken) {
			err = fmt.Errorf("the object changed while it was read: %w", fs.ErrNotExist)
		}
		return nil, err
	}
	if out.ETag == nil || out.ContentLength == nil {
		out.Body.Close()
		return nil, errNoTag
	}
	size := aws.ToInt64(out.ContentLength)
	if offset > 0 {
		_, total, ok := strings.Cut(aws.ToString(out.ContentRange), "/")
		n, err := strconv.ParseInt(total, 10, 64)
		if !ok || err != nil {
			out.Body.Close()
			return nil, unanswered(errors.New("a range was asked for, and the reply is not one"))
		}
		size = n
	}
	info := s3Info(key, size, out.LastModified, out.ETag, out.Metadata)
	if offset == 0 {
		info.checksum(out.ChecksumCRC32C, out.ChecksumType)
	}
	return &body{out.Body, info}, nil
}

func crcText(crc uint32) *string {
	return aws.String(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc)))
}

func (s *Spool) s3Metadata() map[string]string {
	return map[string]string{metaWriter: s.writer, metaCRC: fmt.Sprintf("%08x", s.crc)}
}

// put sends the object with If-None-Match: * and its CRC32C; beyond s3Part in parts, which
// become an object in one step when all are there.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func (a *s3api) put(ctx context.Context, b *Bucket, key string, s *Spool) error {
	if s.Size() > s3Part {
		return a.putParts(ctx, b, key, s)
	}
	c, err := a.client(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := patience(ctx, s.Size())
	defer cancel()
	out, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: s.section(), ContentLength: aws.Int64(s.Size()),
		IfNoneMatch: aws.String("*"), ChecksumCRC32C: crcText(s.crc), Metadata: s.s3Metadata()})
	if err != nil {
		return s3Error(err)
	}
	if aws.ToString(out.ETag) == "" {
		return errNoTag // what it was about may not have been done
	}
	return nil
}

func s3Code(err error) string {
	var ae smithy.APIError
	if errors.As(err, &ae) {
		return ae.ErrorCode()
	}
	return ""
}

// s3Error marks an error of the client.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func s3Error(err error) error {
	status, header := 0, http.Header(nil)
	var re *awshttp.ResponseError
	if errors.As(err, &re) && re.Response != nil {
		status, header = re.HTTPStatusCode(), re.Response.Header
	}
	var ae smithy.APIError
	if !errors.As(err, &ae) || status == 0 {
		return unanswered(err)
	}
	code := ae.ErrorCode()
	err = &scrubbed{strings.TrimSpace(http.StatusText(status) + ": " + code + " " + ae.ErrorMessage()), err}
	switch code {
	case "NoSuchBucket":
		return errors.New("the bucket does not exist")
	case "NoSuchKey":
		return fs.ErrNotExist
	case "InvalidObjectState": // archived: it must be restored before it can be read
		return fmt.Errorf("%w: %w", err, fs.ErrInvalid)
	case "PreconditionFailed":
		return errTaken
	case "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "RequestTimeTooSkewed":
		return delivery.Denied(err)
	case "ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "BadDigest", "XAmzContentChecksumMismatch", "InternalError", "SlowDown", "ServiceUnavailable":
		return delivery.Again(err, delivery.RetryAfter(header))
	}
	switch status {
	case http.StatusNotFound: // HEAD has no code of its own
		if code != "NotFound" {
			return err
		}
		return fs.ErrNotExist
	case http.StatusPreconditionFailed:
		return errTaken
	case http.StatusOK: // an error in the body of a reply that was begun too early
		return delivery.Again(err, 0)
	}
	return delivery.Status(status, header, err)
}

package objectstore

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// s3Part is the bytes of a part. S3 wants 5 MiB at least and takes 10,000 parts.
const s3Part = 8 << 20

// putParts uploads an object in parts. A part that fails is sent again alone. Whatever
// fails for good takes the parts away; a process that is killed leaves them to sweep.
func (a *s3api) putParts(ctx context.Context, b *Bucket, key string, s *Spool) (err error) {
	c, err := a.client(ctx)
	if err != nil {
		return err
	}
	part := max(s3Part, s.Size()/9000+1)
	short, cancel := patience(ctx, 0)
	defer cancel()
	begun, err := c.CreateMultipartUpload(short, &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: &key, Metadata: s.s3Metadata(),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, ChecksumType: types.ChecksumTypeFullObject})
	if err != nil {
		return s3Error(err)
	}
	if aws.ToString(begun.UploadId) == "" {
		return unanswered(errors.New("the reply names no upload"))
	}
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &key, UploadId: begun.UploadId})
		}
	}()
	var done []types.CompletedPart
	for off, n := int64(0), int32(1); off < s.Size(); off, n = off+part, n+1 {
		size := min(part, s.Size()-off)
		crc := crc32.New(castagnoli)
		if _, err := io.Copy(crc, io.NewSectionReader(s, off, size)); err != nil {
			return err
		}
		sum := crcText(crc.Sum32())
		var out *s3.UploadPartOutput
		err := b.again(ctx, "upload a part", func(ctx context.Context) (err error) {
			ctx, cancel := patience(ctx, size)
			defer cancel()
			out, err = c.UploadPart(ctx, &s3.UploadPartInput{Bucket: &b.name, Key: &key, UploadId: begun.UploadId, PartNumber: &n,
				Body: io.NewSectionReader(s, off, size), ContentLength: &size, ChecksumCRC32C: sum, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c})
			if err != nil {
				return s3Error(err)
			}
			if aws.ToString(out.ETag) == "" {
				return errNoTag
			}
			return nil
		})
		if err != nil {
			return err
		}
		done = append(done, types.CompletedPart{ETag: out.ETag, PartNumber: aws.Int32(n), ChecksumCRC32C: sum})
	}
	return b.again(ctx, "end the upload", func(ctx context.Context) error {
		ctx, cancel := patience(ctx, s.Size())
		defer cancel()
		out, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &b.name, Key: &key, UploadId: begun.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: done}, IfNoneMatch: aws.String("*"),
			ChecksumCRC32C: crcText(s.crc), ChecksumType: types.ChecksumTypeFullObject, MpuObjectSize: aws.Int64(s.Size())})
		switch {
		case s3Code(err) == "NoSuchUpload":
			// A try before may have ended it. Who looks at what is there finds out.
			return errTaken
		case err != nil:
			return s3Error(err)
		case aws.ToString(out.ETag) == "":
			return errNoTag
		}
		return nil
	})
}

// sweep aborts uploads that somebody who was killed left behind. Their parts are never
// visible, and cost as much as objects.
func (a *s3api) sweep(ctx context.Context, b *Bucket, prefix string, before time.Time) error {
	c, err := a.client(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := patience(ctx, 0)
	defer cancel()
	if prefix != "" {
		prefix += "/"
	}
	in := &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &prefix}
	for {
		out, err := c.ListMultipartUploads(ctx, in)
		if err != nil {
			return ctx.Err() // not allowed, or not known here
		}
		for _, u := range out.Uploads {
			if u.Initiated == nil || !u.Initiated.Before(before) {
				continue
			}
			_, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: u.Key, UploadId: u.UploadId})
			if err != nil {
				return ctx.Err()
			}
		}
		if !aws.ToBool(out.IsTruncated) || aws.ToString(out.NextKeyMarker) == "" {
			return nil
		}
		in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
	}
}
